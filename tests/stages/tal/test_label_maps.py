"""Labels of a video: worked by hand, and against loops over cells."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stages.tal.label_maps import label_maps, valid_cells, valid_mask
from tests.stages.tal.plain_head import plain_iou


def test_by_hand():
    # 5 snippets, one segment from 1 to 3. Its start region is [-0.5, 2.5], its end region [1.5, 4.5];
    # location i is [i - 0.5, i + 1.5], 2 wide.
    maps = label_maps([[0.2, 0.6]], 5)
    assert maps.start.tolist() == pytest.approx([1, 1, 0.5, 0, 0])
    assert maps.end.tolist() == pytest.approx([0, 0.5, 1, 1, 0.5])
    expected = [
        [0, 1 / 2, 1 / 2, 0, 0],  # one snippet long
        [1 / 3, 1, 1 / 3, 0, 0],
        [2 / 3, 2 / 3, 1 / 4, 0, 0],
        [2 / 4, 2 / 4, 0, 0, 0],
        [2 / 5, 0, 0, 0, 0],
    ]
    assert maps.iou == pytest.approx(np.array(expected), abs=1e-6)
    assert {part.dtype.name for part in maps} == {"float32"}


def test_the_best_of_several_segments_counts():
    one, other, both = (label_maps(rows, 6) for rows in ([[0, 0.5]], [[0.4, 1]], [[0, 0.5], [0.4, 1]]))
    for first, second, found in zip(one, other, both):
        assert np.array_equal(found, np.maximum(first, second))


def test_valid_cells():
    assert valid_mask(3).tolist() == [[True, True, True], [True, True, False], [True, False, False]]
    assert [column.tolist() for column in valid_cells(2)] == [[0, 0, 1], [0, 1, 0]]
    assert len(valid_cells(100)[0]) == 5050


def test_no_segments():
    assert all((part == 0).all() for part in label_maps(np.zeros((0, 2)), 4))


def test_what_lies_past_the_end_is_cut_off_or_left_out():
    assert all(np.array_equal(*pair) for pair in zip(label_maps([[0.5, 1.4]], 4), label_maps([[0.5, 1]], 4)))
    for nothing in ([[1.2, 1.4]], [[-2, -1]], [[0.5, 0.5]]):
        assert all((part == 0).all() for part in label_maps(nothing, 4))


@pytest.mark.parametrize("wrong", [[[0.6, 0.2]], [[0, np.nan]], [[0, np.inf]]])
def test_what_is_no_segment_is_refused(wrong):
    with pytest.raises(ValueError, match="segment"):
        label_maps(wrong, 4)


def test_an_iou_on_a_threshold_is_not_above_it():
    # 9 of 10 snippets: 0.9 in fp32 must not be above 0.9, whatever the fractions' rounding.
    for snippets in (25, 50, 100):
        iou = label_maps([[3 / snippets, 13 / snippets]], snippets).iou
        assert iou[8, 3] == iou[8, 4] == np.float32(0.9)


@settings(deadline=None, max_examples=60)
@given(
    snippets=st.integers(1, 12),
    segments=st.lists(
        st.tuples(st.floats(0, 1), st.floats(0, 1)).map(sorted).filter(lambda s: s[1] - s[0] > 1e-6), max_size=4
    ),
)
def test_equal_loops_over_cells(snippets, segments):
    maps = label_maps(segments, snippets)
    for duration in range(snippets):
        for start in range(snippets):
            cell = (start / snippets, (start + duration + 1) / snippets)
            best = max((plain_iou(*cell, *segment) for segment in segments), default=0)
            assert maps.iou[duration, start] == pytest.approx(best if start + duration < snippets else 0, abs=1e-5)
    for curve, side in ((maps.start, 0), (maps.end, 1)):
        for place in range(snippets):
            shares = [0.0]
            for segment in segments:
                low = max((place - 0.5) / snippets, segment[side] - 1.5 / snippets)
                high = min((place + 1.5) / snippets, segment[side] + 1.5 / snippets)
                shares.append(max(0, high - low) / (2 / snippets))
            assert curve[place] == pytest.approx(max(shares), abs=1e-5)
