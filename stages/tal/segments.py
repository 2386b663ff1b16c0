"""Segments of videos as columns, and the arithmetic that evaluations share: overlap, order, cleaning."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

CLASS_AGNOSTIC = -1
"""Label of a segment that says when something happens, but not what."""


@dataclass(frozen=True, eq=False)
class Segments:
    """N segments, a row each; all columns have shape [N].

    video: positions in a list of videos that the caller keeps; start, end: seconds; label: class numbers,
    CLASS_AGNOSTIC for none; score: higher is surer, 1 for ground truth.

    Columns are converted to the types below. Raises ValueError when they differ in length, a number is not finite, or a
    segment ends before it starts. Zero-length segments are allowed: annotations have them.
    """

    video: NDArray[np.int64]
    start: NDArray[np.float64]
    end: NDArray[np.float64]
    label: NDArray[np.int64]
    score: NDArray[np.float64]

    def __post_init__(self) -> None:
        types = {
            "video": np.int64,
            "start": np.float64,
            "end": np.float64,
            "label": np.int64,
            "score": np.float64,
        }
        for name, kind in types.items():
            object.__setattr__(self, name, np.asarray(getattr(self, name), kind))
        if any(getattr(self, name).shape != (len(self),) for name in types):
            raise ValueError("columns of segments must be one-dimensional and of equal length")
        if not all(np.isfinite(column).all() for column in (self.start, self.end, self.score)):
            raise ValueError("times and scores of segments must be finite")
        if (self.end < self.start).any():
            raise ValueError("a segment ends before it starts")

    @classmethod
    def of(cls, rows: Iterable[tuple[int, float, float, int, float]]) -> Segments:
        """Segments from (video, start, end, label, score) tuples."""
        columns = list(zip(*rows, strict=True)) or [()] * 5
        return cls(*columns)

    def __len__(self) -> int:
        return len(self.video)

    def take(self, rows: ArrayLike) -> Segments:
        """The segments of these row numbers, in their order, or where this mask [N] holds; columns are copied."""
        rows = np.asarray(rows)
        return Segments(
            self.video[rows], self.start[rows], self.end[rows], self.label[rows], self.score[rows]
        )


def tiou(start: NDArray, end: NDArray, other_start: NDArray, other_end: NDArray) -> NDArray[np.float64]:
    """Temporal intersection over union of segments with others, pair by pair; arguments broadcast.

    The terms are added in the order of ActivityNet's evaluation, so that a value on a threshold falls on the same side.
    Two zero-length segments have 0, also where they coincide, for which the official evaluation divides 0 by 0.
    """
    intersection = np.maximum(np.minimum(end, other_end) - np.maximum(start, other_start), 0.0)
    union = (end - start) + (other_end - other_start) - intersection
    return np.divide(intersection, union, out=np.zeros_like(union), where=union > 0)


def best_first(segments: Segments) -> NDArray[np.int64]:
    """Row numbers by falling score; equal scores by video, start, end, so that the order of the rows means nothing."""
    order = np.argsort(-segments.score, kind="stable")
    equal = np.diff(segments.score[order]) == 0
    tied = np.flatnonzero(np.append(equal, False) | np.append(False, equal)) if len(order) else order
    rows = order[tied]  # few: to sort all by four keys takes several times as long
    keys = (segments.end[rows], segments.start[rows], segments.video[rows], -segments.score[rows])
    order[tied] = rows[np.lexsort(keys)]
    return order


def pairs_within_videos(segments: Segments, others: Segments) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Row numbers [pairs] of all pairs of a segment and one of ``others`` in the same video, in the order of both.

    others: sorted by video.
    """
    first = np.searchsorted(others.video, segments.video, "left")
    counts = np.searchsorted(others.video, segments.video, "right") - first
    rows = np.repeat(np.arange(len(segments)), counts)
    within = np.arange(len(rows)) - np.repeat(np.cumsum(counts) - counts, counts)
    return rows, within + np.repeat(first, counts)


def cleaned(truth: Segments, tolerance: float = 1e-3) -> Segments:
    """Ground truth without zero-length segments and duplicates, as some tools evaluate (the official one does not).

    A duplicate has the video and class of a segment of an earlier row, and start and end within ``tolerance`` seconds.
    """
    kept: dict[tuple[int, int], list[tuple[float, float]]] = {}
    rows = []
    for row in np.flatnonzero(truth.end > truth.start).tolist():
        start, end = float(truth.start[row]), float(truth.end[row])
        same = kept.setdefault((int(truth.video[row]), int(truth.label[row])), [])
        if not any(abs(start - s) <= tolerance and abs(end - e) <= tolerance for s, e in same):
            same.append((start, end))
            rows.append(row)
    return truth.take(np.array(rows, np.int64))
