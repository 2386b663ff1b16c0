"""AR@AN and AUC: worked by hand, and against the plain loop."""

from __future__ import annotations

import numpy as np
import pytest

from engine.errors import UserError
from stages.tal.detection_map import tiou_thresholds
from stages.tal.proposal_recall import kept_of_videos, proposal_recall
from stages.tal.segments import Segments

from .plain_evaluation import drawn, plain_proposal_recall

A, B, C = 0, 1, 2
TRUTH = [(A, 10, 20, 0, 1), (A, 30, 50, 1, 1), (B, 0, 10, 0, 1)]
PROPOSALS = [(A, 30, 44.5, -1, 0.6), (A, 10.8, 20, -1, 0.9), (B, 2, 12, -1, 0.7), (B, 40, 50, -1, 0.4)]


def evaluated(truth, proposals, thresholds=None, **options):
    thresholds = tiou_thresholds() if thresholds is None else thresholds
    return proposal_recall(Segments.of(truth), Segments.of(proposals), thresholds, **options)


def test_the_worked_example():
    result = evaluated(TRUTH, PROPOSALS, most=2, steps=2)
    assert round(result.at(1), 4) == 0.4333 and round(result.at(2), 4) == 0.6
    assert round(result.auc, 4) == 0.2583
    assert result.metrics() == {"auc": result.auc, "ar_at_1": result.at(1)}


def test_a_hundred_budgets_by_default():
    result = evaluated(TRUTH, PROPOSALS)
    assert result.budgets.tolist() == pytest.approx(list(range(1, 101))) and result.recall.shape == (10, 100)
    assert list(result.metrics()) == ["auc", "ar_at_1", "ar_at_5", "ar_at_10", "ar_at_100"]
    assert result.at(100) == pytest.approx(0.6)  # more are asked for than there are: all are kept
    with pytest.raises(ValueError, match="was not measured at 7.5"):
        result.at(7.5)


def test_one_proposal_finds_several_segments():
    result = evaluated([(A, 0, 10, 0, 1), (A, 1, 10, 0, 1)], [(A, 0, 10, 0, 1)], [0.5], most=1, steps=1)
    assert result.recall.tolist() == [[1.0]]


def test_videos_without_proposals_miss_and_those_without_truth_only_use_up_the_budget():
    truth = [*TRUTH, (C, 0, 1, 0, 1)]
    assert evaluated(truth, PROPOSALS, [0.5], most=2, steps=1).recall.tolist() == [[3 / 4]]
    elsewhere = [(9, 0, 1, 0, 1.0)] * 4
    # two a video are half of the eight retrieved: half of each video's two, one, is left
    assert evaluated(TRUTH, PROPOSALS + elsewhere, [0.5], most=2, steps=1).recall.tolist() == [[2 / 3]]


def test_the_same_share_of_every_video_is_kept():
    assert kept_of_videos(np.array([10, 30]), 40, most=20, steps=4).tolist() == [
        [2, 5, 7, 10],
        [7, 15, 22, 30],
    ]
    # two a video are a tenth: one and three stay, and half of these, rounded down, at one a video
    assert kept_of_videos(np.array([10, 30]), 40, most=2, steps=2).tolist() == [[0, 1], [1, 3]]


def test_shares_are_rounded_as_in_the_official_evaluation():
    kept = kept_of_videos(np.array([100]), 100, most=100, steps=100)[0]
    assert kept[28] == 28 and kept[27] == 28 and kept[99] == 100


def test_no_proposals_find_nothing():
    assert not evaluated(TRUTH, []).recall.any()
    assert not evaluated(TRUTH, [(9, 0, 1, 0, 1.0)]).recall.any()


def test_what_has_no_score_is_refused():
    with pytest.raises(UserError, match="no ground-truth segment"):
        evaluated([], PROPOSALS)
    for options in ({"most": 0}, {"steps": 0}):
        with pytest.raises(ValueError, match="budget"):
            evaluated(TRUTH, PROPOSALS, **options)


def test_as_the_plain_loop_on_a_thousand_cases():
    rng = np.random.default_rng(1)
    for _ in range(1000):
        grid = rng.choice([0.25, 1.0, 5.0])
        truth, proposals = drawn(rng, rng.integers(1, 20), grid), drawn(rng, rng.integers(0, 60), grid)
        most, steps = float(rng.choice([1, 3, 7.5, 20])), int(rng.integers(1, 8))
        thresholds = [0.3, 0.5, 0.9]
        result = evaluated(truth, proposals, thresholds, most=most, steps=steps)
        assert result.recall == pytest.approx(
            np.array(plain_proposal_recall(truth, proposals, thresholds, most, steps)), abs=1e-12
        )
        assert (np.diff(result.recall, axis=1) >= 0).all()
