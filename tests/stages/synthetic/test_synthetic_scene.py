"""Scenes: functions of (seed, split, index) in which only the pose depends on the class."""

from __future__ import annotations

from dataclasses import fields

import numpy as np
import pytest
from scipy import stats

from stages.synthetic.looks import GREY
from stages.synthetic.scene import Scene, draw_scene, random_for, shake, spread_places
from stages.synthetic.spec import Recipe


def recipe(**changes) -> Recipe:
    return Recipe(**{"size": 32, "frames": 8, **changes})


def assert_equal(one, other, without: tuple[str, ...] = ()) -> None:
    for field in fields(one):
        a, b = getattr(one, field.name), getattr(other, field.name)
        if field.name in without:
            continue
        if isinstance(a, tuple):
            for x, y in zip(a, b, strict=True):
                assert_equal(x, y)
        elif hasattr(a, "__dataclass_fields__"):
            assert_equal(a, b)
        else:
            np.testing.assert_array_equal(a, b)


def test_a_scene_does_not_depend_on_what_else_is_made():
    before = draw_scene(recipe(), "train", 5)
    draw_scene(recipe(), "train", 4)
    assert_equal(before, draw_scene(recipe(train=50, test=30), "train", 5))


@pytest.mark.parametrize("other", [("train", 13, 0), ("test", 5, 0), ("train", 5, 1)])
def test_index_split_and_seed_each_give_another_scene(other):
    split, index, seed = other
    one, two = draw_scene(recipe(), "train", 5), draw_scene(recipe(data_seed=seed), split, index)
    assert one.motion == two.motion
    assert not np.array_equal(one.places, two.places)
    assert not np.array_equal(one.background, two.background)


def test_only_the_pose_depends_on_the_class():
    names = recipe().motions
    scenes = [draw_scene(recipe(motions=names[k:] + names[:k]), "train", 0) for k in range(len(names))]
    assert [scene.motion for scene in scenes] == list(names)
    for scene in scenes[1:]:
        assert_equal(scenes[0], scene, without=("motion", "pose"))


def test_classes_take_turns():
    assert [draw_scene(recipe(), "test", i).motion for i in range(9)] == [*recipe().motions, recipe().motions[0]]


def test_shared_appearances():
    scenes = [draw_scene(recipe(appearances=2), "train", i) for i in range(12)]
    assert len({scene.background.tobytes() for scene in scenes}) == 2
    assert len({scene.places.tobytes() for scene in scenes}) == 12
    tests = [draw_scene(recipe(appearances=2), "test", i) for i in range(12)]
    assert not {s.background.tobytes() for s in scenes} & {s.background.tobytes() for s in tests}


def test_a_plain_backdrop_changes_nothing_else():
    textured, plain = (draw_scene(recipe(backdrop=kind), "train", 5) for kind in ("textured", "plain"))
    assert np.ptp(textured.background, axis=(0, 1)).max() > 0.1
    assert plain.background == pytest.approx(np.full_like(textured.background, GREY))
    assert np.array_equal(plain.places, textured.places) and np.array_equal(plain.pose.x, textured.pose.x)
    assert [s.frequency for s in plain.sprites] == [s.frequency for s in textured.sprites]


@pytest.mark.parametrize("place", [0, 2])
def test_each_place_is_uniform_on_the_torus(place):
    places = np.array([spread_places(np.random.default_rng(i), 3)[place] for i in range(4000)])
    cells = np.histogram2d(*places.T, bins=4, range=[[0, 1], [0, 1]])[0].ravel()
    assert stats.chisquare(cells).pvalue > 1e-3


def test_places_keep_apart():
    for seed in range(200):
        places = spread_places(np.random.default_rng(seed), 3)
        apart = np.abs(places[:, None] - places[None])
        apart = np.hypot(*np.moveaxis(np.minimum(apart, 1 - apart), -1, 0))[np.triu_indices(3, 1)]
        assert apart.min() > 0.15


def test_the_camera_shakes_as_much_in_every_frame():
    paths = np.array([shake(np.random.default_rng(i), 10)[:, 0] for i in range(3000)])
    np.testing.assert_allclose(paths.std(0), 1, atol=0.06)
    np.testing.assert_allclose([np.corrcoef(paths[:, k], paths[:, k + 1])[0, 1] for k in range(9)], 0.5, atol=0.06)


def test_generators_differ_by_name():
    draws = {random_for(recipe(), *names).random() for names in [("a", 1), ("a", 2), ("b", 1), ("a1",), ()]}
    assert len(draws) == 5


def test_a_scene_has_what_it_says():
    scene = draw_scene(recipe(sprites=2), "train", 3)
    assert isinstance(scene, Scene)
    assert scene.background.shape == (32, 32, 3) and 0 <= scene.background.min() <= scene.background.max() <= 1
    assert scene.places.shape == (2, 2) and len(scene.sprites) == len(scene.radii) == len(scene.angles) == 2
    assert scene.camera.shape == (8, 2) and scene.pose.x.shape == (8,)
