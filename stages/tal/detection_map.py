"""ActivityNet's detection mAP: all thresholds of a class at once, and equal for any order of the rows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from engine.errors import UserError
from stages.tal.segments import Segments, best_first, pairs_within_videos, tiou

RECALLS = 101
"""Points of a mean precision-recall curve."""


def tiou_thresholds(
    first: float = 0.5, last: float = 0.95, count: int = 10, literal: bool = False
) -> NDArray[np.float64]:
    """Evenly spaced thresholds; the default is ActivityNet's, (0.3, 0.7, 5) is THUMOS14's.

    literal: the numbers that one would write down, instead of linspace's, whose ninth is 0.8999999999999999 and lets
    pass what 0.9 does not. The official evaluation has linspace's.
    """
    spaced = np.linspace(first, last, count)
    return np.array([round(value, 6) for value in spaced.tolist()]) if literal else spaced


@dataclass(frozen=True, eq=False)
class DetectionMAP:
    """How well detections find ground truth, at T tIoU thresholds, for the C classes that occur in it.

    thresholds: [T]; classes: int64 [C], ascending; ap: average precision [T, C]; found: for each class the ranks,
    int64 [T, segments], at which its segments are found, ascending, 1 for the best-scored detection of the class, 0 at
    the end for segments that no detection finds; detections: their number for each class, int64 [C]; ignored: how many
    more there are of classes that do not occur.
    """

    thresholds: NDArray[np.float64]
    classes: NDArray[np.int64]
    ap: NDArray[np.float64]
    found: tuple[NDArray[np.int64], ...]
    detections: NDArray[np.int64]
    ignored: int

    @property
    def map(self) -> NDArray[np.float64]:
        """Mean of the classes for each threshold: [T]. A class without detections counts 0."""
        return self.ap.mean(axis=1)

    @property
    def average_map(self) -> float:
        """Mean of the classes and thresholds."""
        return float(self.map.mean())

    @property
    def segments(self) -> NDArray[np.int64]:
        """Ground-truth segments of each class: [C]."""
        return np.array([ranks.shape[1] for ranks in self.found], np.int64)

    def curve(self, position: int, threshold: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Recall and precision, [1 + detections], of the class at this position of ``classes``.

        They start with recall 0, precision 1, and have a point for each detection; precision is as measured, not made
        non-increasing. threshold: position in ``thresholds``.
        """
        ranks = self.found[position][threshold]
        number = int(self.detections[position])
        right = np.bincount(ranks[ranks > 0], minlength=number + 1).cumsum()
        precision = np.divide(
            right, np.arange(number + 1), out=np.ones(number + 1), where=np.arange(number + 1) > 0
        )
        return right / len(ranks), precision

    def mean_curve(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Recalls from 0 to 1, [RECALLS], and the classes' mean interpolated precision there, [T, RECALLS].

        A class's interpolated precision at a recall is its best precision at this or a higher one, 0 beyond its last.
        """
        recalls = np.linspace(0, 1, RECALLS)
        curves = np.zeros((len(self.thresholds), RECALLS))
        for ranks in self.found:
            needed = np.ceil(recalls * ranks.shape[1] - 1e-9).astype(np.int64)  # segments, to reach a recall
            curves += interpolated_precision(ranks)[:, np.maximum(needed, 1) - 1]
        return recalls, curves / len(self.found)

    def metrics(self) -> dict[str, float]:
        """``average_map``, and ``map_50`` and the like for each threshold, as fractions."""
        names = [f"map_{100 * value:.6g}".replace(".", "_") for value in self.thresholds]
        return {"average_map": self.average_map, **dict(zip(names, self.map.tolist(), strict=True))}

    def per_class(self, names: Sequence[str]) -> list[dict[str, str | int | float]]:
        """A table's rows: for each class its name, ground-truth segments, detections, AP averaged and by threshold."""
        columns = [f"ap_{100 * value:.6g}".replace(".", "_") for value in self.thresholds]
        rows = zip(
            self.classes.tolist(), self.segments.tolist(), self.detections.tolist(), self.ap.T, strict=True
        )
        return [
            {
                "class": names[label],
                "segments": segments,
                "detections": detections,
                "average_ap": float(ap.mean()),
            }
            | dict(zip(columns, ap.tolist(), strict=True))
            for label, segments, detections, ap in rows
        ]


def detection_map(
    truth: Segments, detections: Segments, thresholds: ArrayLike, source: str = "the annotations"
) -> DetectionMAP:
    """Average precision of every class that occurs in ``truth``, for every tIoU threshold in (0, 1].

    Of each class, detections come by falling score (equal scores: by video, start, end). At each threshold by itself, a
    detection finds the segment of its video and class that it overlaps most among those not found yet (equal tIoU: the
    earlier), if tIoU is at least the threshold; else it is a false positive. So is a detection in a video without
    ground truth. AP is the area under the precision that is made non-increasing over recall (VOC 2011).

    Raises UserError when there is no ground truth (``source`` says where it was looked for): every score would be
    undefined. Raises ValueError for thresholds outside (0, 1].
    """
    thresholds = np.asarray(thresholds, np.float64)
    check_thresholds(thresholds)
    refuse_no_truth(truth, source)
    truth = truth.take(np.lexsort((truth.end, truth.start, truth.video, truth.label)))
    classes, first = np.unique(truth.label, return_index=True)
    limits = np.append(first, len(truth))
    order = np.argsort(detections.label, kind="stable")
    sorted_labels = detections.label[order]
    begin, end = (np.searchsorted(sorted_labels, classes, side) for side in ("left", "right"))

    found = []
    for position in range(len(classes)):
        own = detections.take(order[begin[position] : end[position]])
        segments = truth.take(np.arange(limits[position], limits[position + 1]))
        found.append(ranks_found(segments, own.take(best_first(own)), thresholds))
    ap = np.stack([interpolated_precision(ranks).mean(axis=1) for ranks in found], axis=1)
    counts = end - begin
    return DetectionMAP(thresholds, classes, ap, tuple(found), counts, len(detections) - int(counts.sum()))


def ranks_found(truth: Segments, ranked: Segments, thresholds: NDArray[np.float64]) -> NDArray[np.int64]:
    """Ranks at which the segments of one class are found: int64 [T, segments], ascending from 1, then 0 for "never".

    truth: sorted by video, start, end; ranked: detections, the best first.

    Going through detections one by one, each taking what it likes best of what is left, is a matching in which all
    segments prefer the detection of better rank. So deferred acceptance gives the same result, for all detections and
    thresholds together: each asks for the segment it likes best, a segment keeps the best that asked so far, and those
    it turns down ask for their next. Few rounds are needed, since few detections overlap two segments enough.
    """
    detection, segment = pairs_within_videos(ranked, truth)
    overlap = tiou(ranked.start[detection], ranked.end[detection], truth.start[segment], truth.end[segment])
    near = np.flatnonzero(overlap >= thresholds.min())
    # Of each detection, the nearest first; stable, so that of two equally near segments the earlier comes first.
    near = near[np.lexsort((-overlap[near], detection[near]))]
    detection, segment, overlap = detection[near], segment[near], overlap[near]

    pairs = len(near)
    likes_best = np.ones(pairs, bool)
    likes_best[1:] = detection[1:] != detection[:-1]
    level, pair = np.nonzero(likes_best & (overlap >= thresholds[:, None]))
    keeps = np.full((len(thresholds), len(truth)), pairs)
    while len(pair):
        np.minimum.at(keeps, (level, segment[pair]), pair)  # the lower pair is that of the better detection
        kept = keeps[level, segment[pair]] == pair
        if kept.all():
            break
        next_level, next_pair = level[~kept], pair[~kept] + 1
        goes_on = next_pair < pairs
        next_level, next_pair = next_level[goes_on], next_pair[goes_on]
        goes_on = ~likes_best[next_pair] & (overlap[next_pair] >= thresholds[next_level])
        level = np.concatenate([level[kept], next_level[goes_on]])
        pair = np.concatenate([pair[kept], next_pair[goes_on]])
    ranks = np.sort(np.append(detection + 1, len(ranked) + 1)[keeps], axis=1)
    return np.where(ranks > len(ranked), 0, ranks)


def interpolated_precision(ranks: NDArray[np.int64]) -> NDArray[np.float64]:
    """Best precision at the recall of each segment found or a higher one: [T, segments], its mean is AP.

    ranks: [T, segments] as of ``ranks_found``. Precision falls at every false positive, so that only the points where a
    segment is found can be best.
    """
    right = np.broadcast_to(np.arange(1.0, ranks.shape[1] + 1), ranks.shape)
    precision = np.divide(right, ranks, out=np.zeros(ranks.shape), where=ranks > 0)
    return np.maximum.accumulate(precision[:, ::-1], axis=1)[:, ::-1]


def check_thresholds(thresholds: NDArray[np.float64]) -> None:
    """Raises ValueError unless there are thresholds, and all lie in (0, 1]."""
    if thresholds.ndim != 1 or not len(thresholds) or not ((thresholds > 0) & (thresholds <= 1)).all():
        raise ValueError(f"tIoU thresholds must lie in (0, 1], not {thresholds.tolist()}")


def refuse_no_truth(truth: Segments, source: str) -> None:
    """Raises UserError when there is nothing to find."""
    if not len(truth):
        raise UserError(
            f"{source} hold no ground-truth segment to evaluate against, so that no score is defined: "
            "check the name of the subset, and that its videos are in the listing and not blocked"
        )
