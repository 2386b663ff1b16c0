"""Where the classes of detections come from: scores of whole videos, from three sources."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from stages.tal.annotations import Annotations
from stages.tal.fusion import detections
from stages.tal.head_spec import Inference
from stages.tal.proposals import Proposals
from stages.tal.results_json import id_of_path
from stages.tal.segments import Segments


def true_scores(annotations: Annotations, videos: Sequence[str]) -> NDArray[np.float64]:
    """1 for the classes that occur in a video, else 0: [videos, classes]."""
    found = np.zeros((len(videos), len(annotations.classes)))
    for row, video in enumerate(videos):
        found[row, [instance.label for instance in annotations.instances[video]]] = 1
    return found


def given_scores(scores: Mapping[str, NDArray], videos: Sequence[str], classes: int) -> NDArray[np.float64]:
    """Scores of a file, by id of the video: [videos, classes], 0 for a video that it does not have."""
    nothing = np.zeros(classes)
    return np.stack([np.asarray(scores.get(id_of_path(video), nothing), np.float64) for video in videos])


def detections_of(
    proposals: Mapping[int, Proposals],
    class_scores: NDArray[np.float64],
    durations: NDArray[np.float64],
    inference: Inference,
) -> Segments:
    """Detections of all videos.

    proposals: by the number of the video; class_scores: [videos, classes]; durations: [videos], seconds. A class
    of score 0 is no class of the video: it gets no detections.
    """
    parts = []
    for video, found in proposals.items():
        part = detections(found, class_scores[video], video, float(durations[video]), inference)
        parts.append(part.take(class_scores[video][part.label] > 0))
    return joined(parts)


def true_detections(
    proposals: Mapping[int, Proposals],
    true: NDArray[np.float64],
    durations: NDArray[np.float64],
    inference: Inference,
) -> Segments:
    """Detections of all videos when the classes of each are known: every proposal for every one of them."""
    most = max(1, int(true.sum(axis=1).max(initial=0)))
    known = inference.model_copy(update={"classes": most, "class_score": "raw"})
    return detections_of(proposals, true, durations, known)


def agnostic(proposals: Mapping[int, Proposals], durations: NDArray[np.float64]) -> Segments:
    """All proposals as segments without a class."""
    single = np.ones((len(durations), 1))
    found = detections_of(proposals, single, durations, Inference(classes=1))
    return Segments(found.video, found.start, found.end, np.full(len(found), -1), found.score)


def joined(parts: Sequence[Segments]) -> Segments:
    """The segments of all parts, in order."""
    if not parts:
        return Segments.of([])
    names = ("video", "start", "end", "label", "score")
    return Segments(*(np.concatenate([getattr(part, name) for part in parts]) for name in names))
