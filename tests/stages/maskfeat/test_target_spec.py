"""Targets and masks as a spec names them: told apart by kind, and refused where they cannot work."""

from __future__ import annotations

import subprocess
import sys

import pytest
from pydantic import TypeAdapter, ValidationError

from stages.maskfeat.target_spec import (
    CubeMask,
    FeatureTarget,
    FrameMask,
    HogTarget,
    Mask,
    NormalisedPixelTarget,
    PixelTarget,
    Target,
    TubeMask,
)


@pytest.mark.parametrize(
    "given, kind",
    [
        ({"kind": "hog", "frames": "all"}, HogTarget),
        ({"kind": "pixel"}, PixelTarget),
        ({"kind": "normalised_pixel"}, NormalisedPixelTarget),
        ({"kind": "features", "model": "coclr.rgb"}, FeatureTarget),
    ],
)
def test_targets_by_kind(given, kind):
    assert type(TypeAdapter(Target).validate_python(given)) is kind


@pytest.mark.parametrize(
    "given, kind",
    [({"kind": "cube", "sampler": "exact"}, CubeMask), ({"kind": "tube"}, TubeMask), ({"kind": "frame"}, FrameMask)],
)
def test_masks_by_kind(given, kind):
    assert type(TypeAdapter(Mask).validate_python(given)) is kind


@pytest.mark.parametrize(
    "wrong",
    [
        {"kind": "cubes"},
        {"kind": "frame", "sampler": "exact"},
        {"kind": "cube", "ratio": 1.0},
        {"kind": "cube", "ratio": 0.0},
    ],
)
def test_wrong_masks(wrong):
    with pytest.raises(ValidationError):
        TypeAdapter(Mask).validate_python(wrong)


def test_cells_that_are_asked_for():
    assert CubeMask().grid(16, 224) == (8, 7, 7) and CubeMask(cell=16).grid(8, 64) == (4, 4, 4)
    assert CubeMask().asked((8, 7, 7)) == 157
    assert TubeMask(kind="tube").asked((8, 7, 7)) == 8 * 20
    assert FrameMask(kind="frame").asked((8, 7, 7)) == 3 * 49


@pytest.mark.parametrize(
    "mask, clip, message",
    [
        (CubeMask(), (15, 224, 16), "15 frames has no whole tokens of 2"),
        (CubeMask(cell=48), (16, 224, 16), "cells of 48 pixels do not tile clips of 224"),
        (CubeMask(cell=16), (16, 224, 32), "mask cells of 16 pixels are no whole predictions of 32"),
        (CubeMask(), (8, 64, 16), "2 x 2 mask cells leave the faithful sampler no blocks"),
        (CubeMask(ratio=0.01), (4, 96, 16), "a ratio of 0.01 masks 0 of 2 x 3 x 3 cells"),
        (FrameMask(kind="frame", ratio=0.9), (4, 64, 16), "masks 8 of 2 x 2 x 2 cells"),
    ],
)
def test_masks_that_are_refused(mask, clip, message):
    assert message in mask.refuses(*clip)


def test_masks_that_work():
    assert CubeMask().refuses(16, 224, 16) is None and CubeMask().refuses(16, 224, 32) is None
    assert CubeMask(cell=16).refuses(8, 64, 16) is None and CubeMask(sampler="exact").refuses(8, 64, 16) is None
    assert FrameMask(kind="frame").refuses(8, 64, 16) is None


def test_targets_that_are_refused():
    assert "no whole HOG cells of 8" in HogTarget().refuses(4) and "no whole HOG cells of 8" in HogTarget().refuses(20)
    assert "gaussian_window of 24" in HogTarget(gaussian_window=24).refuses(16)
    assert HogTarget(gaussian_window=16).refuses(32) is None and HogTarget().refuses(16) is None


def test_a_spec_needs_no_torch():
    heavy = "('torch', 'numba', 'matplotlib')"
    code = f"import sys, stages.maskfeat.target_spec; print([m for m in {heavy} if m in sys.modules])"
    assert (
        subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip() == "[]"
    )
