"""Rendering: geometry worked by hand, the torus, noise."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stages.synthetic.looks import Sprite, draw_background
from stages.synthetic.motions import Pose
from stages.synthetic.render import render, shifted
from stages.synthetic.scene import draw_scene
from stages.synthetic.spec import Recipe

WHITE, RED = np.ones(3, np.float32), np.array([1, 0, 0], np.float32)


def sprite(**changes) -> Sprite:
    plain = {"corners": 0, "star": False, "stretch": 1.0, "pattern": "halves", "frequency": 1.0, "shift": 0.0}
    return Sprite(**{**plain, "colours": np.stack([WHITE, WHITE]), "rim": WHITE, **changes})


def scene(*sprites: Sprite, places, radius=0.25, angle=0.0, x=0.0, y=0.0, scale=1.0, turned=0.0, camera=(0.0, 0.0)):
    """One frame of 32 x 32 pixels before black."""
    base, n = draw_scene(Recipe(size=32, frames=2), "train", 0), len(sprites)
    return replace(
        base,
        pose=Pose(*(np.array([v]) for v in (x, y, scale, turned))),
        background=np.zeros((32, 32, 3), np.float32),
        sprites=sprites,
        places=np.array(places, float),
        radii=np.full(n, radius),
        angles=np.full(n, angle),
        camera=np.array([camera]),
    )


def picture(scene) -> np.ndarray:
    return render(scene, 0.0, np.random.default_rng(0))[0].astype(float) / 255


def test_a_disc_has_its_area_and_its_place():
    mask = picture(scene(sprite(), places=[(0.5, 0.25)]))[..., 0]
    assert mask.sum() == pytest.approx(np.pi * 8**2, rel=0.02)
    rows, columns = np.mgrid[:32, :32]
    assert (mask * columns).sum() / mask.sum() == pytest.approx(16, abs=0.02)
    assert (mask * rows).sum() / mask.sum() == pytest.approx(8, abs=0.02)


def test_pose_and_camera_move_and_scale():
    mask = picture(scene(sprite(), places=[(0.5, 0.5)], x=0.125, y=-0.125, scale=0.5, camera=(1 / 32, 0)))[..., 0]
    rows, columns = np.mgrid[:32, :32]
    assert mask.sum() == pytest.approx(np.pi * 4**2, rel=0.03)
    assert (mask * columns).sum() / mask.sum() == pytest.approx(21, abs=0.02)
    assert (mask * rows).sum() / mask.sum() == pytest.approx(12, abs=0.02)


def test_turning_by_a_quarter_is_clockwise():
    """Of a disc whose lower half (v > 0) is red, the left half is red after a quarter turn: y points down."""
    halves = sprite(colours=np.stack([RED, WHITE]), rim=WHITE)
    upright, turned = (picture(scene(halves, places=[(0.5, 0.5)], turned=a)) for a in (0.0, np.pi / 2))
    red = lambda image: (image[..., 0] - image[..., 1]) > 0.9  # noqa: E731 - said once
    assert red(upright)[18:, :].sum() > 40 and not red(upright)[:15].any()
    assert red(turned)[:, :15].sum() > 40 and not red(turned)[:, 18:].any()


def test_later_sprites_cover_earlier_ones():
    red = sprite(colours=np.stack([RED, RED]), rim=RED)
    np.testing.assert_array_equal(picture(scene(sprite(), red, places=[(0.5, 0.5)] * 2))[16, 16], RED)
    np.testing.assert_array_equal(picture(scene(red, sprite(), places=[(0.5, 0.5)] * 2))[16, 16], WHITE)


@settings(max_examples=20, deadline=None)
@given(right=st.integers(0, 31), down=st.integers(0, 31), index=st.integers(0, 15))
def test_the_picture_is_a_torus(right, down, index):
    """Moving everything by whole pixels rolls every frame: no place of the picture is special."""
    one = draw_scene(Recipe(size=32, frames=4), "train", index)
    moved = replace(one, background=np.roll(one.background, (down, right), (0, 1)), places=one.places + np.array([right, down]) / 32)
    frames = np.roll(render(one, 0.0, np.random.default_rng(0)), (down, right), (1, 2)).astype(int)
    assert np.abs(frames - render(moved, 0.0, np.random.default_rng(0))).max() <= 1


def test_shifted_against_a_naive_loop():
    texture = np.random.default_rng(0).random((5, 5, 3)).astype(np.float32)
    right, down = 1.25, -0.5
    expected = np.zeros_like(texture)
    for row in range(5):
        for column in range(5):
            y, x = row - down, column - right
            for i, p in ((int(np.floor(y)), 1 - y % 1), (int(np.floor(y)) + 1, y % 1)):
                for j, q in ((int(np.floor(x)), 1 - x % 1), (int(np.floor(x)) + 1, x % 1)):
                    expected[row, column] += p * q * texture[i % 5, j % 5]
    np.testing.assert_allclose(shifted(texture, right, down), expected, atol=1e-6)


def test_noise_has_its_size_and_is_the_generators():
    grey = replace(scene(sprite(), places=[(0.5, 0.5)], radius=0.05), background=np.full((32, 32, 3), 0.5, np.float32))
    first, again, other = (render(grey, 6.0, np.random.default_rng(s))[0] for s in (1, 1, 2))
    assert first[:8].std() == pytest.approx(6, rel=0.1)
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)


@pytest.mark.parametrize("seed", range(12))
def test_backgrounds_fit_at_their_edges(seed):
    """The step across the edge is like the steps inside, and the picture is neither flat nor out of range."""
    texture = draw_background(np.random.default_rng(seed), 48)
    inside = np.abs(np.diff(texture, axis=0)).mean((1, 2))
    across = np.abs(texture[0] - texture[-1]).mean()
    assert across <= inside.max() * 1.5 + 1e-3
    assert texture.dtype == np.float32 and 0 <= texture.min() and texture.max() <= 1 and texture.std() > 0.01
