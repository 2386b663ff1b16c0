"""Where snippets lie."""

from __future__ import annotations

from fractions import Fraction
from math import floor

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stages.tal.geometry import Grid

COUNTS = st.integers(1, 500)
GRIDS = st.builds(Grid, COUNTS, st.floats(0.1, 1e4), st.integers(1, 120), st.integers(1, 16), st.integers(1, 16))


def test_snippets_that_tile_the_video():
    grid = Grid(frames_of_video=12, duration=3.0, snippets=3, frames=4)
    assert grid.frame_numbers().tolist() == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9, 10, 11]]
    assert grid.centres().tolist() == [1.5, 5.5, 9.5]


def test_strides_overlaps_and_ends():
    """10 frames, 2 snippets around 2 and 7, of 3 frames at stride 4: -2 2 6 and 3 7 11 before they are moved inside."""
    grid = Grid(10, 5.0, 2, 3, 4)
    assert grid.span == 9 and grid.centres().tolist() == [2.0, 7.0]
    assert grid.frame_numbers().tolist() == [[0, 2, 6], [3, 7, 9]]


def test_half_a_frame_is_rounded_up():
    """Centre 1.5 and one frame: 2; centre 2 and two frames, first at 1.5: 2, 3."""
    assert Grid(4, 1.0, 1, 1).frame_numbers().tolist() == [[2]]
    assert Grid(5, 1.0, 1, 2).frame_numbers().tolist() == [[2, 3]]


def test_a_video_of_one_frame():
    assert Grid(1, 0.04, 3, 2, 5).frame_numbers().tolist() == [[0, 0]] * 3


@given(GRIDS)
def test_frame_numbers_follow_the_formula(grid):
    """Against exact fractions, snippet by snippet."""
    for i, row in enumerate(grid.frame_numbers().tolist()):
        centre = (i + Fraction(1, 2)) * grid.frames_of_video / grid.snippets - Fraction(1, 2)
        first = floor(centre - Fraction((grid.frames - 1) * grid.stride, 2) + Fraction(1, 2))
        numbers = [first + j * grid.stride for j in range(grid.frames)]
        assert row == [min(max(n, 0), grid.frames_of_video - 1) for n in numbers]


@given(GRIDS)
def test_a_video_played_backwards_has_the_snippets_backwards(grid):
    """Where no rounding is needed, and to a frame where it is."""
    numbers = grid.frame_numbers()
    mirrored = grid.frames_of_video - 1 - numbers[::-1, ::-1]
    assert np.abs(numbers - mirrored).max() <= 1


@given(GRIDS)
def test_a_cell_holds_the_middle_of_its_snippet(grid):
    """The centre of snippet i, as a time of the video, is the middle of cell i."""
    times = (grid.centres() + 0.5) / grid.frames_of_video * grid.duration
    np.testing.assert_allclose(times / grid.duration * grid.snippets, np.arange(grid.snippets) + 0.5)


@pytest.mark.parametrize(
    "wrong", [(0, 1.0, 1, 1), (1, 1.0, 0, 1), (1, 1.0, 1, 0), (1, 0.0, 1, 1), (1, float("nan"), 1, 1)]
)
def test_grids_of_nothing(wrong):
    with pytest.raises(ValueError, match="must be"):
        Grid(*wrong)
