"""What happens when in generated videos, and how the sprites get through it."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stages.synthetic.motions import MOTIONS
from stages.synthetic.scene import draw_manner
from stages.untrimmed.script import Piece, draw_script, perform
from stages.untrimmed.spec import UntrimmedRecipe

RECIPE = UntrimmedRecipe(motions=tuple(sorted(MOTIONS)))


@st.composite
def recipes(draw):
    shortest, gap, fewest = draw(st.integers(2, 20)), draw(st.integers(1, 10)), draw(st.integers(0, 3))
    least = max(fewest, 1) * (shortest + gap) + 8
    return UntrimmedRecipe(
        frames=draw(st.integers(least * 2, least * 2 + 60)), spread=draw(st.sampled_from((0.0, 0.3, 0.5))),
        fewest=fewest, most=draw(st.integers(max(fewest, 1), 6)), shortest=shortest,
        longest=draw(st.integers(shortest, 60)), gap=gap, mixed=draw(st.booleans()),
    )  # fmt: skip


@given(recipes(), st.integers(0, 1000))
def test_scripts(recipe, seed):
    """Pieces follow on each other from 0 to the end; instances have their lengths, numbers and gaps."""
    pieces = draw_script(recipe, "spin", np.random.default_rng(seed))
    assert pieces[0].start == 0 and all(a.end == b.start for a, b in pairwise(pieces))
    assert all(piece.start < piece.end for piece in pieces)
    assert recipe.lengths[0] <= pieces[-1].end <= recipe.lengths[1]
    instances = [piece for piece in pieces if piece.is_instance]
    assert recipe.fewest <= len(instances) <= recipe.most
    assert all(recipe.shortest <= p.end - p.start <= recipe.longest for p in instances)
    assert all(b.start - a.end >= recipe.gap for a, b in pairwise(instances))
    assert {p.what for p in instances} <= set(recipe.motions if recipe.mixed else ("spin",))
    assert {p.what for p in pieces if not p.is_instance} <= set(recipe.background)


def test_all_that_may_happen_does():
    """Over many scripts: every number of instances, both ends of the video, every background, all lengths."""
    scripts = [draw_script(RECIPE, "bob", np.random.default_rng(seed)) for seed in range(300)]
    instances = [[p for p in script if p.is_instance] for script in scripts]
    assert {len(found) for found in instances} == {1, 2, 3}
    assert any(script[0].is_instance for script in scripts) and any(script[-1].is_instance for script in scripts)
    assert {p.what for script in scripts for p in script} == {"bob", "still", "drift", "wander"}
    lengths = {p.end - p.start for found in instances for p in found}
    assert min(lengths) == 16 and max(lengths) == 48


def performed(*pieces: Piece, seed: int = 0):
    rng = np.random.default_rng(seed)
    manner = draw_manner(RECIPE, rng)
    return perform(pieces, manner, RECIPE, rng), manner


def steps(pose, start, end):
    """Changes from frame ``start`` - 1 to ``end`` - 1 of x, y, log scale and angle, [end - start, 4]."""
    track = np.stack([pose.x, pose.y, np.log(pose.scale), pose.angle], 1)
    return np.diff(track[max(start - 1, 0) : end], axis=0)


MOVES = {
    "bob": (1,), "bounce": (0, 1), "circle": (0, 1), "eight": (0, 1), "pulse": (2,), "spin": (3,), "spiral": (0, 1),
    "stop_and_go": (0,), "sway": (0,), "zigzag": (0, 1),
}  # fmt: skip
"""What each motion changes, of x, y, scale and angle."""


@pytest.mark.parametrize("motion", sorted(MOTIONS))
@pytest.mark.parametrize("seed", range(3))
def test_frames_of_an_instance_move_as_its_motion_says(motion, seed):
    pose, _ = performed(Piece(0, 20, "still"), Piece(20, 60, motion), Piece(60, 80, "still"), seed=seed)
    assert (steps(pose, 0, 20) == 0).all() and (steps(pose, 61, 80) == 0).all()
    inside = steps(pose, 20, 60)
    assert len(inside) == 40
    for column in range(4):
        assert (np.abs(inside[:, column]).max() > 1e-3) == (column in MOVES[motion]), column
    if motion != "stop_and_go":  # which rests half of the time
        assert np.abs(inside[0]).sum() > 0 and np.abs(inside[-1]).sum() > 0


def test_an_instance_is_its_motion_to_the_number():
    """spin turns evenly: half a turn per cycle, of 9 frames on average, 20 % more or less."""
    pose, _ = performed(Piece(0, 10, "drift"), Piece(10, 40, "spin"))
    turned = steps(pose, 10, 40)[:, 3]
    assert np.allclose(turned, turned[0]) and np.pi / 10.8 <= abs(turned[0]) <= np.pi / 7.2


def test_nothing_jumps():
    """No step is longer than the fastest motion makes it, boundaries included; the size stays in its bounds."""
    for seed in range(40):
        rng = np.random.default_rng(seed)
        recipe = RECIPE.model_copy(update={"mixed": True, "frames": 200, "most": 6})
        manner = draw_manner(recipe, rng)
        pieces = draw_script(recipe, "bob", rng)
        pose = perform(pieces, manner, recipe, rng)
        assert len(pose.x) == len(pose.scale) == pieces[-1].end
        change = np.abs(steps(pose, 0, pieces[-1].end))
        assert change[:, :2].max() < 0.3 and change[:, 2].max() < 0.5 and change[:, 3].max() < 0.5
        assert np.abs(np.log(pose.scale)).max() <= manner.zoom + 1e-9


def test_backgrounds():
    pose, _ = performed(Piece(0, 30, "drift"))
    drift = steps(pose, 0, 30)
    assert np.allclose(drift, drift[0]) and np.hypot(*drift[0, :2]) > 0.01 and (drift[:, 2:] == 0).all()
    pose, _ = performed(Piece(0, 30, "wander"))
    wander = steps(pose, 0, 30)
    pace = np.hypot(*wander[:, :2].T)
    assert np.allclose(pace, pace[0]) and not np.allclose(wander, wander[0]) and (wander[:, 2:] == 0).all()
