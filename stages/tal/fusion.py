"""From proposals of a video, which say when, and scores of the video's classes, which say what, to detections."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from stages.tal.head_spec import Inference
from stages.tal.proposals import Proposals
from stages.tal.segments import Segments


def detections(
    proposals: Proposals, class_scores: NDArray[np.floating], video: int, duration: float, spec: Inference
) -> Segments:
    """Each proposal once for each of the video's surest classes, its score times that of the class.

    class_scores: [classes] of the whole video. video: its number in the list that the caller keeps. duration: its
    seconds, the same that labels were made with. Rows go by proposal, then by falling class score; of equal ones the
    first class leads.
    """
    class_scores = np.asarray(class_scores, np.float64)
    surest = np.argsort(-class_scores, kind="stable")[: spec.classes]
    weights = class_scores[surest]
    if spec.class_score == "share":
        highest = np.sort(class_scores)[-2:].sum()
        weights = weights / highest if highest > 0 else weights
    count = len(surest)
    return Segments(
        video=np.full(len(proposals) * count, video),
        start=np.repeat(proposals.start * duration, count),
        end=np.repeat(proposals.end * duration, count),
        label=np.tile(surest, len(proposals)),
        score=(proposals.score[:, None] * weights).ravel(),
    )
