"""Squares that evaluations cut out of pictures."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from stages.video.crops import CENTRE, Square, evaluation_crops
from stages.video.transforms import evaluation_clip


def numbered(height: int, width: int) -> np.ndarray:
    """One frame, each pixel of which is its own place: [1, H, W, 2] (row, column)."""
    return np.stack(np.mgrid[:height, :width], axis=-1).astype(np.uint8)[None]


def corners(square: Square, height: int, width: int) -> tuple[list[int], list[int]]:
    cut = square.cut(numbered(height, width))[0]
    assert cut.shape[0] == cut.shape[1]
    return cut[0, 0].tolist(), cut[-1, -1].tolist()


def test_five_places_by_hand():
    # 16 pixels high: squares of 14, which leave 2 rows and 6 columns
    crops = evaluation_crops("five", 224 / 256)
    assert not any(crop.mirrored for crop in crops)
    assert [corners(crop.square, 16, 20) for crop in crops] == [
        ([1, 3], [14, 16]),
        ([0, 0], [13, 13]),
        ([0, 6], [13, 19]),
        ([2, 0], [15, 13]),
        ([2, 6], [15, 19]),
    ]


def test_ten_are_the_five_each_mirrored_too():
    ten, five = evaluation_crops("ten", 0.5), evaluation_crops("five", 0.5)
    assert (
        [crop.square for crop in ten[::2]] == [crop.square for crop in ten[1::2]] == [c.square for c in five]
    )
    assert [crop.mirrored for crop in ten] == [False, True] * 5


@pytest.mark.parametrize("size", [(30, 40), (41, 30), (17, 17)])
def test_the_centre_is_what_other_evaluations_look_at(size):
    frames = np.random.default_rng(0).integers(0, 256, (2, *size, 3), dtype=np.uint8)
    (crop,) = evaluation_crops("centre", 0.3)
    assert (crop,) == CENTRE
    assert torch.equal(evaluation_clip(crop.square.cut(frames), 16), evaluation_clip(frames, 16))


@given(st.integers(1, 40), st.integers(1, 40), st.floats(0.01, 1))
def test_squares_lie_inside_and_reach_the_corners(height, width, share):
    squares = [crop.square for crop in evaluation_crops("five", share)]
    places = [corners(square, height, width) for square in squares]
    for (top, left), (bottom, right) in places:
        assert 0 <= top <= bottom < height and 0 <= left <= right < width
        assert bottom - top + 1 == max(1, round(share * min(height, width)))
    assert places[1][0] == [0, 0] and places[4][1] == [height - 1, width - 1]
