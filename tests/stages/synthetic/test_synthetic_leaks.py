"""Single frames do not tell the class, and would be caught if they did; whole clips do tell it.

A quick version, on small videos and with a bound that chance alone passes once in a thousand times, of
``benchmarks/appearance.py``, which holds the probes and gives the figures on full-size videos.
"""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from stages.synthetic.spec import Recipe

RECIPE = Recipe(size=32, frames=8, period=7, train=400, test=400)
SMALL = RECIPE.model_copy(update={"train": 240, "test": 240})
ONE_IN_A_THOUSAND = 0.999


@pytest.fixture(scope="module")
def appearance() -> ModuleType:
    """The benchmark as a module, with one torch thread."""
    torch = pytest.importorskip("torch")
    path = Path(__file__).resolve().parents[3] / "benchmarks" / "appearance.py"
    spec = importlib.util.spec_from_file_location("benchmark_appearance", path)
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield module
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def clips(appearance):
    return [appearance.make(RECIPE, split) for split in ("train", "test")]


def test_bound(appearance):
    """By hand: chance, plus 1.96 standard deviations of 0.0117 (800 tries), is 14.8 %."""
    assert appearance.upper_bound(800, 8) == pytest.approx(0.148, abs=0.001)


def test_single_frames_do_not_tell_the_class_to_a_linear_probe(appearance, clips):
    assert appearance.frame_linear(*clips, each=2) <= appearance.upper_bound(RECIPE.test, 8, ONE_IN_A_THOUSAND)


def test_single_frames_do_not_tell_the_class_to_a_cnn(appearance, clips):
    train, test = appearance.frame_cnn(*clips, steps=200)
    assert train > 0.2, "it must be able to learn at all"
    assert test <= appearance.upper_bound(RECIPE.test, 8, ONE_IN_A_THOUSAND)


def test_a_planted_leak_in_size_is_found_by_the_cnn(appearance):
    """Sprites of every other class are larger; so the question is which half of the classes a frame is from."""
    halves = [appearance.halves(appearance.make(SMALL, split, "size")) for split in ("train", "test")]
    assert appearance.frame_cnn(*halves, steps=200)[1] > appearance.upper_bound(SMALL.test, 2, ONE_IN_A_THOUSAND)


def test_a_planted_leak_in_place_is_found_by_the_linear_probe(appearance):
    halves = [appearance.halves(appearance.make(SMALL, split, "place")) for split in ("train", "test")]
    assert appearance.frame_linear(*halves, each=2) > appearance.upper_bound(SMALL.test, 2, ONE_IN_A_THOUSAND)


def test_whole_clips_tell_the_class(appearance, clips):
    assert appearance.clip_cnn(*clips, steps=300)[1] > 1.5 * appearance.upper_bound(RECIPE.test, 8, ONE_IN_A_THOUSAND)


def test_true_motion_tells_the_class(appearance):
    assert appearance.true_motion(RECIPE.model_copy(update={"train": 240, "test": 80})) > 0.9


def test_features_of_a_frame_are_finite_and_see_the_frame(appearance):
    frames = np.random.default_rng(0).integers(0, 256, (3, 32, 32, 3), np.uint8)
    features = appearance.frame_features(frames)
    assert np.isfinite(features).all() and len(np.unique(features, axis=0)) == 3
