"""Which videos detections are evaluated on, and what happens in them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from engine.run.context import Context
from stages.detect.spec import Scoring
from stages.localization.detector import Detector
from stages.snippets.index import SnippetIndex, SnippetReader
from stages.tal.annotations import Annotations
from stages.tal.detection_map import refuse_no_truth
from stages.tal.segments import Segments, cleaned
from stages.video.listing import read_listing


@dataclass(frozen=True)
class Tested:
    """videos: paths of those evaluated; durations: [videos], seconds; truth: ``video`` numbers them.

    rows: int64 [n], rows of the index of those that have features; numbers: int64 [n], their numbers among ``videos``.
    without_features: how many test videos have none.
    """

    videos: tuple[str, ...]
    durations: NDArray[np.float64]
    truth: Segments
    rows: NDArray[np.int64]
    numbers: NDArray[np.int64]
    without_features: int

    def scores(self, detector: Detector, reader: SnippetReader) -> NDArray[np.float64]:
        """Class scores by the detector's own classifier: [videos, classes], 0 for videos without features."""
        found = np.zeros((len(self.videos), len(detector.card.classes)))
        if len(self.rows):
            found[self.numbers] = detector.classifier.probabilities(reader.means(self.rows))
        return found


def tested_videos(
    index: SnippetIndex, annotations: Annotations, scoring: Scoring, context: Context
) -> Tested:
    """The videos of split ``test``. Raises UserError when nothing is annotated in them."""
    listed = [v.path for v in read_listing(context.input("annotations")).videos if v.split == "test"]
    rows = {index.videos[row].path: int(row) for row in index.rows("test")}
    lacking = [path for path in listed if path not in rows]
    if lacking:
        what = "are left out" if scoring.without_features == "leave_out" else "count as missed"
        context.warn(
            f"{len(lacking)} of {len(listed)} test videos have no features and {what} (first: {lacking[0]})"
        )
    videos = tuple(path for path in listed if path in rows or scoring.without_features == "missed")
    truth = annotations.segments(videos)
    truth = cleaned(truth) if scoring.clean_truth else truth
    refuse_no_truth(truth, "the annotations of the test videos")
    there = [number for number, path in enumerate(videos) if path in rows]
    return Tested(
        videos,
        np.array([annotations.durations[path] for path in videos], np.float64),
        truth,
        np.array([rows[videos[number]] for number in there], np.int64),
        np.array(there, np.int64),
        len(lacking),
    )
