"""Multinomial logistic regression by L-BFGS: the objective, its gradient, and the fit.

Works alike on NumPy arrays and on torch tensors (for sets that are worth a GPU); everything is float64.
"""

from __future__ import annotations

from dataclasses import dataclass
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize


@dataclass(frozen=True)
class Scaling:
    """Standardisation of features with the statistics of the samples that a classifier is fitted on."""

    mean: NDArray[np.float64]
    std: NDArray[np.float64]

    @classmethod
    def of(cls, features: NDArray) -> Scaling:
        """features: [N, D]. A feature that does not vary beyond float32 rounding keeps its scale and becomes 0."""
        features = np.asarray(features, dtype=np.float64)
        mean, std = features.mean(axis=0), features.std(axis=0)
        rounding = 1e-6 * np.sqrt((features**2).mean(axis=0))
        return cls(mean, np.where(std > rounding, std, np.inf))

    def __call__(self, features: NDArray) -> NDArray[np.float64]:
        return (np.asarray(features, dtype=np.float64) - self.mean) / self.std


@dataclass(frozen=True)
class Classifier:
    """A fitted linear classifier. ``parameters``: [C, D + 1], the last column is the bias."""

    parameters: NDArray[np.float64]
    loss: float
    converged: bool

    def scores(self, features: NDArray) -> NDArray[np.float64]:
        """Log-probabilities [N, C] of (standardised) features [N, D]."""
        logits = np.asarray(features, dtype=np.float64) @ self.parameters[:, :-1].T + self.parameters[:, -1]
        logits -= logits.max(axis=1, keepdims=True)
        return logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))


def objective(parameters: Any, features: Any, targets: Any, l2: float) -> tuple[Any, Any]:
    """Mean cross-entropy plus ``l2 / 2`` times the squared norm of the weights; the bias is not regularised.

    parameters: [C, D + 1] (bias last), features: [N, D], targets: [N] integers in [0, C); all NumPy or all torch.
    Returns the loss and its gradient [C, D + 1].
    """
    xp = _namespace(features)
    samples = len(features)
    rows = xp.arange(samples)
    weight, bias = parameters[:, :-1], parameters[:, -1]
    logits = features @ weight.T + bias
    logits -= xp.amax(logits, axis=1, keepdims=True)
    own = logits[rows, targets]
    probabilities = xp.exp(logits)
    total = probabilities.sum(axis=1, keepdims=True)
    loss = (xp.log(total[:, 0]) - own).mean() + 0.5 * l2 * (weight**2).sum()
    probabilities /= total
    probabilities[rows, targets] -= 1.0
    gradient = xp.empty_like(parameters)
    gradient[:, :-1] = probabilities.T @ features / samples + l2 * weight
    gradient[:, -1] = probabilities.sum(axis=0) / samples
    return loss, gradient


def fit(
    features: Any, targets: Any, classes: int, l2: float, iterations: int, start: NDArray | None = None
) -> Classifier:
    """Minimise ``objective`` over all parameters, from ``start`` [C, D + 1] (zeros by default).

    features: [N, D] float64, targets: [N]; NumPy arrays, or torch tensors on any device.
    """
    shape = (classes, features.shape[1] + 1)

    def evaluate(flat: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        loss, gradient = objective(_like(features, flat.reshape(shape)), features, targets, l2)
        return float(loss), _to_numpy(gradient).ravel()

    result = minimize(
        evaluate,
        np.zeros(shape).ravel() if start is None else np.asarray(start, dtype=np.float64).ravel(),
        jac=True,
        method="L-BFGS-B",
        options={"maxiter": iterations, "maxfun": 2 * iterations, "ftol": 1e-9, "gtol": 1e-5, "maxcor": 20},
    )
    return Classifier(result.x.reshape(shape), float(result.fun), bool(result.success))


def _namespace(array: Any) -> ModuleType:
    if isinstance(array, np.ndarray):
        return np
    import torch

    return torch


def _like(example: Any, values: NDArray) -> Any:
    """``values`` as the same kind of array, on the same device, as ``example``."""
    return (
        values
        if isinstance(example, np.ndarray)
        else _namespace(example).as_tensor(values, device=example.device)
    )


def _to_numpy(array: Any) -> NDArray:
    return array if isinstance(array, np.ndarray) else array.cpu().numpy()
