"""Top-k accuracy, mean class accuracy and confusion, against numbers worked by hand and slow loops."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stages.nn.metrics import confusion_matrix, mean_class_accuracy, target_ranks, top_k_accuracy

SCORES = np.array([[0.1, 0.7, 0.2], [0.5, 0.2, 0.3], [0.3, 0.3, 0.4]])


def test_top_k_by_hand() -> None:
    # ranks of the true classes: 1 -> first, 2 -> second, 0 -> second (ties with class 1, which has the higher number)
    targets = np.array([1, 2, 0])
    assert target_ranks(SCORES, targets).tolist() == [0, 1, 1]
    assert top_k_accuracy(SCORES, targets, 1) == pytest.approx(1 / 3)
    assert top_k_accuracy(SCORES, targets, 2) == 1.0


def test_equal_scores_do_not_make_everything_right() -> None:
    scores = np.zeros((4, 4))
    assert top_k_accuracy(scores, np.arange(4), 1) == 0.25
    assert top_k_accuracy(scores, np.arange(4), 3) == 0.75


def test_a_class_that_cannot_be_predicted_is_wrong_at_every_k() -> None:
    scores = np.array([[0.0, -np.inf, -np.inf]])
    assert top_k_accuracy(scores, np.array([1]), 3) == 0.0
    assert top_k_accuracy(scores, np.array([0]), 1) == 1.0


def test_nan_is_an_error_and_not_a_success() -> None:
    with pytest.raises(ValueError, match="NaN"):
        top_k_accuracy(np.array([[np.nan, 1.0]]), np.array([0]), 1)


def test_mean_class_accuracy_by_hand() -> None:
    # class 0: 3 of 4, class 2: 0 of 1; class 1 does not occur and does not count
    assert mean_class_accuracy(np.array([0, 0, 0, 1, 1]), np.array([0, 0, 0, 0, 2])) == pytest.approx(0.375)


def test_confusion_by_hand() -> None:
    found = confusion_matrix(np.array([0, 1, 1, 2]), np.array([0, 0, 1, 1]), 3)
    assert found.tolist() == [[1, 1, 0], [0, 1, 1], [0, 0, 0]]


@given(st.data())
def test_top_k_is_what_sorting_says(data: st.DataObject) -> None:
    samples, classes = data.draw(st.integers(1, 8)), data.draw(st.integers(1, 6))
    numbers = st.integers(-2, 2) | st.just(-np.inf)
    scores = np.array(
        data.draw(
            st.lists(
                st.lists(numbers, min_size=classes, max_size=classes), min_size=samples, max_size=samples
            )
        ),
        float,
    )
    targets = np.array(data.draw(st.lists(st.integers(0, classes - 1), min_size=samples, max_size=samples)))
    k = data.draw(st.integers(1, classes))
    right = 0
    for row, target in zip(scores, targets):
        order = sorted(range(classes), key=lambda c: (-row[c], c))
        right += target in order[:k] and row[target] > -np.inf
    assert top_k_accuracy(scores, targets, k) == pytest.approx(right / samples)
    predicted = scores.argmax(axis=1)
    matrix = confusion_matrix(predicted, targets, classes)
    assert matrix.sum() == samples
    assert np.trace(matrix) == (predicted == targets).sum()
