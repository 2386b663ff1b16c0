"""ActivityNet's detection mAP: worked by hand, against the plain loop, and refusing what has no score."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.errors import UserError
from stages.tal.detection_map import detection_map, interpolated_precision, tiou_thresholds
from stages.tal.segments import Segments

from .plain_evaluation import drawn, plain_detection_ap

A, B, C = 0, 1, 2
TRUTH = [(A, 10, 20, 0, 1), (A, 30, 50, 0, 1), (B, 0, 10, 0, 1)]
DETECTIONS = [
    (A, 10.8, 20, 0, 0.9),
    (A, 10, 19, 0, 0.8),
    (B, 2, 12, 0, 0.7),
    (A, 30, 44.5, 0, 0.6),
    (C, 0, 5, 0, 0.5),
]


def evaluated(truth, detections, thresholds=None):
    return detection_map(
        Segments.of(truth), Segments.of(detections), tiou_thresholds() if thresholds is None else thresholds
    )


def test_the_worked_example():
    result = evaluated(TRUTH, DETECTIONS)
    assert result.map.round(4).tolist() == [0.8333] * 4 + [0.5] + [0.3333] * 4 + [0]
    assert round(result.average_map, 4) == 0.5167
    metrics = result.metrics()
    assert list(metrics) == ["average_map", *(f"map_{n}" for n in range(50, 100, 5))]
    assert metrics["map_70"] == pytest.approx(0.5) and metrics["average_map"] == result.average_map


def test_a_second_class_without_detections_halves_it():
    result = evaluated([*TRUTH, (C, 0, 5, 3, 1)], DETECTIONS)
    assert round(result.average_map, 4) == 0.2583
    assert result.classes.tolist() == [0, 3] and (result.ap[:, 1] == 0).all()


def test_a_class_that_only_detections_have_changes_nothing():
    result = evaluated(TRUTH, [*DETECTIONS, (A, 10, 20, 7, 1.0), (A, 10, 20, -1, 1.0)])
    assert round(result.average_map, 4) == 0.5167 and result.ignored == 2


def test_a_duplicate_is_wrong_unless_another_segment_overlaps_enough():
    twice = [(A, 0, 10, 0, 0.9), (A, 0, 10, 0, 0.8)]
    assert evaluated([(A, 0, 10, 0, 1), (A, 20, 30, 0, 1)], twice).map[0] == 0.5
    result = evaluated([(A, 0, 10, 0, 1), (A, 2, 10, 0, 1)], twice)
    assert result.map.round(4).tolist() == [1.0] * 7 + [0.5] * 3  # tIoU with the second segment is 0.8


def test_a_detection_that_was_turned_down_can_turn_down_another():
    truth = [(A, 0, 10, 0, 1), (A, 3, 13, 0, 1), (A, 6, 16, 0, 1)]
    chain = [(A, 0, 10, 0, 0.9), (A, 1, 11, 0, 0.8), (A, 3, 13, 0, 0.7), (A, 5, 15, 0, 0.6)]
    result = evaluated(truth, chain, [0.5])
    # the second, nearest to the taken first segment, takes the second one; the third then falls back on the last
    assert result.found[0].tolist() == [[1, 2, 3]]


def test_equal_overlap_takes_the_earlier_segment():
    truth = [(A, 10, 20, 0, 1), (A, 0, 10, 0, 1)]
    between = (A, 5, 15, 0, 0.9)  # tIoU 1/3 with both
    assert evaluated(truth, [between, (A, 8, 18, 0, 0.8)], [0.3]).found[0].tolist() == [[1, 2]]
    assert evaluated(truth, [between, (A, 2, 12, 0, 0.8)], [0.3]).found[0].tolist() == [[1, 0]]


def test_equal_scores_do_not_depend_on_the_order_of_the_rows():
    rows = [(A, 0, 10, 0, 0.5), (B, 0, 3, 0, 0.5), (A, 1, 9, 0, 0.5), (A, 0, 9, 0, 0.5)]
    results = [
        evaluated([(A, 0, 10, 0, 1), (B, 0, 10, 0, 1)], [rows[i] for i in order])
        for order in ([0, 1, 2, 3], [3, 1, 0, 2])
    ]
    assert np.array_equal(results[0].ap, results[1].ap)
    assert results[0].found[0][0].tolist() == [1, 0]  # [0, 9] is first: it ends earlier


def test_linspace_and_literal_thresholds_differ_at_the_ninth():
    assert tiou_thresholds()[8] == 0.8999999999999999 and tiou_thresholds(literal=True)[8] == 0.9
    assert tiou_thresholds(literal=True).tolist() == [0.5, 0.55, 0.6, 0.65, 0.7, 0.75, 0.8, 0.85, 0.9, 0.95]
    assert tiou_thresholds(0.3, 0.7, 5, literal=True).tolist() == [0.3, 0.4, 0.5, 0.6, 0.7]
    almost = ([(A, 0, 7, 0, 1)], [(A, 0.7, 7, 0, 1)])  # 6.3 / 7 is 0.8999999999999999 in floating point
    assert evaluated(*almost).map[8] == 1 and evaluated(*almost, tiou_thresholds(literal=True)).map[8] == 0


def test_precision_recall_curves():
    result = evaluated(TRUTH, DETECTIONS)
    recall, precision = result.curve(0, 0)
    assert recall == pytest.approx([0, 1 / 3, 1 / 3, 2 / 3, 1, 1])
    assert precision == pytest.approx([1, 1, 1 / 2, 2 / 3, 3 / 4, 3 / 5])
    recalls, means = result.mean_curve()
    assert means.shape == (10, 101) and recalls[33] == 0.33
    assert means[0, [0, 33, 34, 100]].tolist() == [1, 1, 0.75, 0.75]
    assert means[4, [33, 34, 66, 67]].tolist() == [1, 0.5, 0.5, 0] and not means[9].any()
    halved = evaluated([*TRUTH, (C, 0, 5, 3, 1)], DETECTIONS).mean_curve()[1]
    assert np.array_equal(halved, means / 2)


def test_the_table_of_classes():
    rows = evaluated([*TRUTH, (C, 0, 5, 2, 1)], DETECTIONS).per_class(["jump", "run", "swim"])
    assert [(row["class"], row["segments"], row["detections"]) for row in rows] == [
        ("jump", 3, 5),
        ("swim", 1, 0),
    ]
    assert rows[0]["average_ap"] == pytest.approx(0.516667, abs=1e-6) and rows[0]["ap_70"] == pytest.approx(
        0.5
    )


def test_no_ground_truth_is_refused():
    with pytest.raises(UserError, match=r"a\.json.*subset"):
        detection_map(Segments.of([]), Segments.of(DETECTIONS), [0.5], source="subset 'val' of a.json")


def test_no_detections_score_zero():
    result = evaluated(TRUTH, [])
    assert result.average_map == 0 and result.found[0].tolist() == [[0, 0, 0]] * 10
    assert [column.tolist() for column in result.curve(0, 0)] == [[0.0], [1.0]]


@pytest.mark.parametrize("thresholds", [[], [0.0], [1.2], [float("nan")]])
def test_thresholds_outside_are_refused(thresholds):
    with pytest.raises(ValueError, match="thresholds"):
        evaluated(TRUTH, DETECTIONS, thresholds)


def test_interpolated_precision_looks_ahead():
    assert interpolated_precision(np.array([[2, 3, 0]])).tolist() == [[2 / 3, 2 / 3, 0]]


# Few distinct times and scores, so that ties, duplicates, zero lengths and exact overlaps are common.
def rows(most: int):
    return st.lists(
        st.tuples(
            st.integers(0, 3), st.integers(0, 8), st.integers(0, 8), st.integers(0, 2), st.integers(0, 4)
        ).map(lambda row: (row[0], min(row[1:3]), max(row[1:3]), row[3], row[4] / 4)),
        max_size=most,
    )


@settings(max_examples=500, deadline=None)
@given(rows(12).filter(len), rows(30), st.sampled_from([[0.5], [0.25, 0.5, 1.0], [0.9, 0.3], [1e-9, 0.1]]))
def test_as_the_plain_loop(truth, detections, thresholds):
    agrees_with_the_plain_loop(truth, detections, thresholds)


def test_as_the_plain_loop_on_thousands_of_larger_cases():
    rng = np.random.default_rng(0)
    for case in range(1500):
        grid = rng.choice([0.25, 1.0, 5.0])  # coarse: many ties; fine: hardly any
        agrees_with_the_plain_loop(
            drawn(rng, rng.integers(1, 30), grid), drawn(rng, rng.integers(0, 80), grid), tiou_thresholds()
        )
        if case % 100 == 0:
            agrees_with_the_plain_loop(
                drawn(rng, 40, grid, videos=1), drawn(rng, 300, grid, videos=1), [0.05, 0.3, 0.6]
            )


def agrees_with_the_plain_loop(truth, detections, thresholds):
    result = evaluated(truth, detections, thresholds)
    expected = plain_detection_ap(truth, detections, list(thresholds))
    assert result.classes.tolist() == list(expected)
    assert result.ap.T == pytest.approx(np.array(list(expected.values())), abs=1e-12)
    if (len(truth) + len(detections)) % 4:
        return
    shuffled = np.random.default_rng(len(truth)).permutation(len(detections))
    again = evaluated(truth[::-1], [detections[i] for i in shuffled], thresholds)
    assert np.array_equal(again.ap, result.ap)
    means = result.mean_curve()[1]
    assert (np.diff(means) <= 1e-12).all() and 0 <= means.min() and means.max() <= 1 + 1e-12
