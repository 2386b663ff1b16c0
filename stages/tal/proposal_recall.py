"""ActivityNet's measure of proposals: average recall over the average number of proposals, and its area."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from stages.tal.detection_map import check_thresholds, refuse_no_truth
from stages.tal.segments import Segments, best_first, pairs_within_videos, tiou


@dataclass(frozen=True, eq=False)
class ProposalRecall:
    """thresholds: [T]; budgets: average numbers of proposals a video, [steps], ascending; recall: [T, steps]."""

    thresholds: NDArray[np.float64]
    budgets: NDArray[np.float64]
    recall: NDArray[np.float64]

    @property
    def average(self) -> NDArray[np.float64]:
        """Average recall (AR) at each budget, over the thresholds: [steps]."""
        return self.recall.mean(axis=0)

    @property
    def auc(self) -> float:
        """Area under AR over budgets, divided by the last budget: a fraction, where papers print percent."""
        average = self.average
        return float(((average[1:] + average[:-1]) / 2 * np.diff(self.budgets)).sum() / self.budgets[-1])

    def at(self, number: float) -> float:
        """AR@number. Raises ValueError for a number that is no budget."""
        steps = np.flatnonzero(np.isclose(self.budgets, number, rtol=1e-9, atol=0))
        if not len(steps):
            raise ValueError(
                f"recall was not measured at {number:g} proposals, but at {self.budgets.tolist()}"
            )
        return float(self.average[steps[0]])

    def metrics(self) -> dict[str, float]:
        """``auc``, and ``ar_at_1``, ``_5``, ``_10``, ``_100`` as far as they were measured, as fractions."""
        measured = [n for n in (1, 5, 10, 100) if np.isclose(self.budgets, n, rtol=1e-9, atol=0).any()]
        return {"auc": self.auc, **{f"ar_at_{n}": self.at(n) for n in measured}}


def proposal_recall(
    truth: Segments,
    proposals: Segments,
    thresholds: ArrayLike,
    most: float = 100,
    steps: int = 100,
    source: str = "the annotations",
) -> ProposalRecall:
    """Recall of ground truth by proposals, whatever their labels, at ``steps`` average numbers of them up to ``most``.

    A budget keeps the same share of every video's proposals, best first (equal scores: by start, end); so videos with
    many keep many. A segment is found at a threshold if any proposal kept overlaps it so much; one proposal may find
    several. A video without proposals misses all of its segments; one without ground truth has no part in the recall,
    but its proposals count when shares are computed. Shares are rounded down in floating point, as the official
    evaluation does: 29 % of 100 proposals are 28 of them.

    Raises UserError when there is no ground truth, ValueError for thresholds outside (0, 1] or a budget below zero.
    """
    thresholds = np.asarray(thresholds, np.float64)
    check_thresholds(thresholds)
    refuse_no_truth(truth, source)
    if not most > 0 or steps < 1:
        raise ValueError("there must be a budget of proposals above zero, and a step at least")
    truth = truth.take(np.argsort(truth.video, kind="stable"))
    videos, video_of = np.unique(truth.video, return_inverse=True)
    ranked = proposals.take(np.isin(proposals.video, videos))
    ranked = ranked.take(best_first(ranked))
    ranked = ranked.take(np.argsort(ranked.video, kind="stable"))

    number = np.bincount(np.searchsorted(videos, ranked.video), minlength=len(videos))
    kept = kept_of_videos(number, len(proposals), most, steps)
    ranks = first_ranks(truth, ranked, thresholds)
    allowed = kept[video_of]
    recall = np.stack([(rank[:, None] < allowed).mean(axis=0) for rank in ranks])
    return ProposalRecall(thresholds, np.arange(1, steps + 1) / steps * most, recall)


def kept_of_videos(number: NDArray[np.int64], retrieved: int, most: float, steps: int) -> NDArray[np.int64]:
    """How many proposals of each video each budget keeps: [videos, steps].

    number: proposals of each video with ground truth; retrieved: all proposals, also of other videos. First ``most`` a
    video are kept on average, by the same share of each; then shares of what is left, in ``steps`` steps.
    """
    wanted = most * float(len(number))
    first = np.minimum((number * (wanted / max(retrieved, 1))).astype(np.int64), number)
    shares = np.arange(1, steps + 1) / float(steps) * (wanted / max(int(first.sum()), 1))
    return np.minimum((first[:, None] * shares).astype(np.int64), first[:, None])


def first_ranks(truth: Segments, ranked: Segments, thresholds: NDArray[np.float64]) -> NDArray[np.int64]:
    """Rank, from 0 within its video, of the first proposal that finds each segment: [T, segments], a huge one if none.

    truth: sorted by video; ranked: by video, the best first.
    """
    segment, proposal = pairs_within_videos(truth, ranked)
    overlap = tiou(truth.start[segment], truth.end[segment], ranked.start[proposal], ranked.end[proposal])
    rank = proposal - np.searchsorted(ranked.video, truth.video[segment], "left")
    ranks = np.full((len(thresholds), len(truth)), np.iinfo(np.int64).max)
    for level, threshold in enumerate(thresholds):
        enough = overlap >= threshold
        np.minimum.at(ranks[level], segment[enough], rank[enough])
    return ranks
