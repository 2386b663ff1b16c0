"""From the head's curves and map of one video to scored proposals.

G-TAD's inference: starts and ends must look like boundaries; the map alone scores what lies between them.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, eq=False)
class Proposals:
    """Class-agnostic segments of one video. start, end: float64 [n], fractions of the video; score: float64 [n]."""

    start: NDArray[np.float64]
    end: NDArray[np.float64]
    score: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.score)

    def take(self, rows: NDArray[np.int64]) -> Proposals:
        """The proposals of these row numbers, in their order."""
        return Proposals(self.start[rows], self.end[rows], self.score[rows])


def boundary_candidates(curve: NDArray[np.floating], share: float) -> NDArray[np.bool_]:
    """Snippets that may be boundaries: strict local maxima, and all above ``share`` of the curve's maximum.

    curve: [L]. Returns bool [L].
    """
    curve = np.asarray(curve)
    candidates = curve > share * curve.max()
    inner = curve[1:-1]
    candidates[1:-1] |= (inner > curve[:-2]) & (inner > curve[2:])
    return candidates


def propose(
    start: NDArray[np.floating],
    end: NDArray[np.floating],
    confidence: NDArray[np.floating],
    share: float = 0.5,
    parity: bool = False,
) -> Proposals:
    """Every segment between a candidate start and a candidate end, by duration, then start.

    Its score is the regressed IoU times the probability.

    start, end: [L]; confidence: [2, L, L], as of ``HeadOutput``, of one video. share: see ``boundary_candidates``.
    The first snippet is always a candidate start, the last a candidate end.

    A segment starts where its first snippet begins. It ends where its last snippet ends, which is the candidate of
    the end curve; so a video played backwards has its proposals backwards, and any cell can be one. parity: it ends
    where the candidate begins, and none ends with the video, as in the public code.
    """
    snippets = len(start)
    starts = boundary_candidates(start, share)
    ends = boundary_candidates(end, share)
    starts[0] = ends[-1] = True

    duration, first = np.ogrid[:snippets, :snippets]
    candidate = first + duration + (1 if parity else 0)
    possible = (candidate < snippets) & starts[first] & ends[np.minimum(candidate, snippets - 1)]
    duration, first = np.nonzero(possible)
    regressed, probability = np.asarray(confidence, np.float64)[:, duration, first]
    return Proposals(first / snippets, (first + duration + 1) / snippets, regressed * probability)
