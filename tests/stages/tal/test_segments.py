"""Columns of segments: overlap, order, pairs, and what cleaning removes."""

from __future__ import annotations

import numpy as np
import pytest

from stages.tal.segments import Segments, best_first, cleaned, pairs_within_videos, tiou


def test_columns_get_their_types():
    segments = Segments.of([(0, 1, 2, 3, 1)])
    assert [getattr(segments, name).dtype.name for name in ("video", "start", "end", "label", "score")] == [
        "int64", "float64", "float64", "int64", "float64",
    ]  # fmt: skip
    assert len(segments) == 1 and len(Segments.of([])) == 0


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ((0, 2.0, 1.0, 0, 1.0), "ends before"),
        ((0, 0.0, np.inf, 0, 1.0), "finite"),
        ((0, 0.0, 1.0, 0, np.nan), "finite"),
    ],
)
def test_what_is_no_segment_is_refused(row, message):
    with pytest.raises(ValueError, match=message):
        Segments.of([row])


def test_columns_of_unequal_length_are_refused():
    with pytest.raises(ValueError, match="equal length"):
        Segments(np.zeros(2), np.zeros(2), np.ones(1), np.zeros(2), np.zeros(2))


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        ((10, 20), (10.8, 20), 0.92),
        ((0, 10), (2, 12), 8 / 12),
        ((0, 10), (10, 20), 0),
        ((0, 10), (30, 40), 0),
        ((5, 5), (5, 5), 0),
        ((0, 10), (5, 5), 0),
        ((3, 4), (3, 4), 1),
    ],
)
def test_tiou(one, other, expected):
    values = [np.array([float(value)]) for value in (*one, *other)]
    assert tiou(*values)[0] == pytest.approx(expected, abs=1e-12)
    assert tiou(*values[2:], *values[:2])[0] == tiou(*values)[0]


def test_best_first_breaks_ties_by_video_start_and_end():
    segments = Segments.of(
        [(1, 0, 9, 0, 0.5), (0, 3, 9, 0, 0.5), (0, 1, 9, 0, 0.5), (0, 1, 4, 0, 0.5), (2, 0, 1, 0, 0.7)]
    )
    assert best_first(segments).tolist() == [4, 3, 2, 1, 0]


def test_pairs_within_videos():
    segments = Segments.of([(video, 0, 1, 0, 1) for video in (2, 0, 5, 2)])
    others = Segments.of([(video, 0, 1, 0, 1) for video in (0, 2, 2, 4)])
    rows, columns = pairs_within_videos(segments, others)
    assert list(zip(rows.tolist(), columns.tolist())) == [(0, 1), (0, 2), (1, 0), (3, 1), (3, 2)]


def test_cleaning_removes_duplicates_of_a_class_and_zero_lengths():
    truth = Segments.of(
        [
            (0, 1, 2, 0, 1),
            (0, 1.0009, 2, 0, 1),
            (0, 1, 2, 1, 1),
            (1, 1, 2, 0, 1),
            (0, 4, 4, 0, 1),
            (0, 1, 2.002, 0, 1),
        ]
    )
    kept = cleaned(truth)
    assert list(zip(kept.video, kept.start, kept.end, kept.label)) == [
        (0, 1, 2, 0), (0, 1, 2, 1), (1, 1, 2, 0), (0, 1, 2.002, 0),
    ]  # fmt: skip
