"""Proposals with the video's class scores."""

from __future__ import annotations

import numpy as np
import pytest

from stages.tal.fusion import detections
from stages.tal.head_spec import Inference
from stages.tal.proposals import Proposals

PROPOSALS = Proposals(np.array([0.0, 0.25]), np.array([0.5, 1.0]), np.array([0.9, 0.5]))
SCORES = np.array([0.1, 0.6, 0.05, 0.2])


def rows(found) -> list[tuple]:
    return list(zip(*(getattr(found, name).tolist() for name in ("video", "start", "end", "label", "score"))))


def test_two_classes_by_hand():
    assert rows(detections(PROPOSALS, SCORES, video=7, duration=80.0, spec=Inference())) == [
        (7, 0, 40, 1, pytest.approx(0.54)),
        (7, 0, 40, 3, pytest.approx(0.18)),
        (7, 20, 80, 1, pytest.approx(0.3)),
        (7, 20, 80, 3, pytest.approx(0.1)),
    ]


def test_share_of_the_two_highest():
    found = detections(PROPOSALS, SCORES, 0, 80.0, Inference(classes=1, class_score="share"))
    assert found.label.tolist() == [1, 1]
    assert found.score.tolist() == pytest.approx([0.9 * 0.75, 0.5 * 0.75])
    zero = detections(PROPOSALS, np.zeros(3), 0, 80.0, Inference(classes=1, class_score="share"))
    assert zero.score.tolist() == [0, 0]


def test_more_classes_than_there_are():
    assert detections(PROPOSALS, np.array([0.3]), 0, 1.0, Inference(classes=5)).label.tolist() == [0, 0]


def test_of_equal_classes_the_first_leads():
    assert detections(PROPOSALS, np.full(4, 0.5), 0, 1.0, Inference(classes=2)).label.tolist() == [0, 1, 0, 1]


def test_no_proposals():
    empty = Proposals(*np.zeros((3, 0)))
    assert len(detections(empty, SCORES, 0, 1.0, Inference())) == 0
