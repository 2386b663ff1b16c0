"""Gaussian soft-NMS of the proposals of one video (Bodla et al., ICCV 2017), as temporal localisation uses it."""

from __future__ import annotations

import numpy as np

from stages.tal.proposals import Proposals
from stages.tal.segments import tiou


def soft_nms(proposals: Proposals, sigma: float = 0.84, top: int = 100, parity: bool = False) -> Proposals:
    """The ``top`` best proposals by falling score, each scored less for those before it.

    Again and again the best one left is taken, the earlier row of equals, and the scores of all others fall by
    exp(-IoU^2 / sigma) with it. parity: the last one left is never taken, as in the public code.
    """
    score = proposals.score.astype(np.float64, copy=True)
    left = np.ones(len(score), bool)
    kept, scores = [], []
    for _ in range(min(top, len(score) - (1 if parity else 0))):
        best = int(np.where(left, score, -np.inf).argmax())
        left[best] = False
        kept.append(best)
        scores.append(score[best])
        overlap = tiou(proposals.start, proposals.end, proposals.start[best], proposals.end[best])
        score *= np.exp(-(overlap**2) / sigma)
    found = proposals.take(np.array(kept, np.int64))
    return Proposals(found.start, found.end, np.array(scores, np.float64))
