"""Detect: trained heads on the test videos, evaluated as ActivityNet does."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.errors import UserError
from engine.run.context import Context
from stages.class_scores.reading import read_scores
from stages.detect.class_scores import agnostic, detections_of, given_scores, true_detections, true_scores
from stages.detect.found import Found
from stages.detect.report import Judged, seed_metrics, write_report
from stages.detect.spec import Config
from stages.detect.tested import Tested, tested_videos
from stages.features.windows import steps_of
from stages.localization.detector import Detector, load_detector
from stages.localization.inference import BATCH, find_proposals
from stages.nn.precision import numbers
from stages.snippets.index import SnippetIndex, SnippetReader
from stages.tal.annotations import Annotations
from stages.tal.detection_map import detection_map, tiou_thresholds
from stages.tal.proposal_recall import proposal_recall
from stages.tal.results_json import ids_of_paths


def run(config: Config, context: Context) -> dict[str, Any]:
    """mAP by class scores of each source and recall of proposals, for each seed; writes detections, AP and pictures."""
    annotations = Annotations.open(context.input("annotations"))
    index = SnippetIndex.open(context.input("snippets"))
    detectors = [_opened(folder, index, annotations, context) for folder in context.inputs["heads"]]
    readers = [index.reader(seed, context.store) for seed in config.seeds]
    tested = tested_videos(index, annotations, config.scoring, context)
    ids_of_paths(tested.videos)  # two videos of one id are refused now, not when results are written

    found = _propose(config, detectors, readers, tested, context)
    true = true_scores(annotations, tested.videos)
    external = None
    if "class_scores" in context.inputs:
        external = given_scores(
            read_scores(context.input("class_scores")), tested.videos, len(annotations.classes)
        )

    judged: dict[int, dict[str, Judged]] = {}
    seeds: dict[str, dict[str, float]] = {}
    headline, thresholds = config.scoring.class_scores, config.scoring.thresholds
    for number, seed in enumerate(config.seeds):
        proposals = found.of(number)
        own = tested.scores(detectors[number], readers[number])
        sources = {"own": own} if external is None else {"own": own, "external": external}
        segments = {
            name: detections_of(proposals, scores, tested.durations, config.inference)
            for name, scores in sources.items()
        }
        segments["oracle"] = true_detections(proposals, true, tested.durations, config.inference)
        judged[seed] = {
            name: Judged(part, detection_map(tested.truth, part, thresholds))
            for name, part in segments.items()
        }
        recall = proposal_recall(tested.truth, agnostic(proposals, tested.durations), tiou_thresholds())
        seeds[str(seed)] = {
            **seed_metrics(judged[seed], headline),
            **recall.metrics(),
            "top1": _top1(own, true),
        }
    write_report(
        judged, headline, tested.truth, tested.videos, tested.durations, annotations.classes, context
    )
    counted = len(judged[config.seeds[0]][headline].detections)
    context.say(
        f"{len(tested.videos)} test videos, {len(tested.truth)} segments of "
        f"{len(np.unique(tested.truth.label))} classes, {counted} detections"
    )
    return {
        "seeds": seeds,
        "test_videos": len(tested.videos),
        "test_segments": len(tested.truth),
        "detections": counted,
        "without_features": tested.without_features,
        "chance": {"top1": 1 / len(annotations.classes)},
    }


def _opened(folder: Any, index: SnippetIndex, annotations: Annotations, context: Context) -> Detector:
    detector = load_detector(folder)
    if detector.card.classes != annotations.classes or detector.card.features.width != index.origin.width:
        raise UserError(
            f"{folder} was trained for other classes or other features than this test has: train it again"
        )
    numbers("fp32", context.device).place(detector.head)
    return detector


def _propose(
    config: Config, detectors: list[Detector], readers: list[SnippetReader], tested: Tested, context: Context
) -> Found:
    """Proposals of every head for all test videos that have features."""
    found = Found()
    batches = [
        (number, range(first, min(first + BATCH, len(tested.rows))))
        for number in range(len(detectors))
        for first in range(0, len(tested.rows), BATCH)
    ]
    steps = steps_of(len(batches))
    for step in context.steps(len(steps), {"found": found}, "detect"):
        for batch in steps[step]:
            number, places = batches[batch]
            features = [readers[number].read(int(tested.rows[place])) for place in places]
            head = detectors[number].head
            proposals = find_proposals(head, features, config.inference, config.parity, context.device)
            for place, each in zip(places, proposals, strict=True):
                found.add(number, int(tested.numbers[place]), each)
    return found


def _top1(scores: NDArray[np.float64], true: NDArray[np.float64]) -> float:
    """Share of the videos with classes whose surest class is one of these; a video without scores has no surest one."""
    rows = np.flatnonzero(true.any(axis=1))
    right = true[rows, scores[rows].argmax(axis=1)] * scores[rows].any(axis=1)
    return float(right.mean())
