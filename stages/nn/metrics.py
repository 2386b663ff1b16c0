"""How good predictions are: top-k accuracy, mean class accuracy, confusion matrix. Plain functions of arrays."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def target_ranks(scores: NDArray, targets: NDArray) -> NDArray[np.int64]:
    """How many classes stand before the right one, for each sample.

    scores: [N, C], higher is better; among equal scores the class of lower number stands first.
    A score of -inf means "cannot be predicted": such a target stands behind all classes.
    targets: [N] integers in [0, C).
    Returns [N] in [0, C]. Raises ValueError on NaN, which would compare as if it were always right.
    """
    scores, targets = np.asarray(scores), np.asarray(targets)
    if np.isnan(scores).any():
        raise ValueError("scores contain NaN")
    classes = scores.shape[1]
    own = np.take_along_axis(scores, targets[:, None], axis=1)
    before = (scores > own) | ((scores == own) & (np.arange(classes) < targets[:, None]))
    return np.where(np.isneginf(own[:, 0]), classes, before.sum(axis=1))


def top_k_accuracy(scores: NDArray, targets: NDArray, k: int) -> float:
    """Share of samples whose class is among the ``k`` best scored ones (see ``target_ranks`` for ties)."""
    return float((target_ranks(scores, targets) < k).mean())


def mean_class_accuracy(predicted: NDArray, targets: NDArray) -> float:
    """Accuracy of each class that occurs in ``targets``, averaged over these classes. Both arguments: [N]."""
    predicted, targets = np.asarray(predicted), np.asarray(targets)
    occurring, positions, counts = np.unique(targets, return_inverse=True, return_counts=True)
    right = np.bincount(positions, weights=predicted == targets, minlength=len(occurring))
    return float((right / counts).mean())


def confusion_matrix(predicted: NDArray, targets: NDArray, classes: int) -> NDArray[np.int64]:
    """Counts [C, C]: the row is the true class, the column the predicted one."""
    cells = np.asarray(targets) * classes + np.asarray(predicted)
    return np.bincount(cells, minlength=classes * classes).reshape(classes, classes)
