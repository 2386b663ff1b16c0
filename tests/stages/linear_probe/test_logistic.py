"""The logistic regression: its gradient, its minimum, and what it does with awkward features."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from stages.linear_probe.logistic import Scaling, fit, objective


def problem(samples: int, width: int, classes: int, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    targets = np.concatenate([np.arange(classes), rng.integers(classes, size=max(0, samples - classes))])
    return rng.normal(size=(len(targets), width)), targets, rng.normal(size=(classes, width + 1))


def naive_loss(parameters: np.ndarray, features: np.ndarray, targets: np.ndarray, l2: float) -> float:
    total = 0.0
    for x, t in zip(features, targets):
        scores = [sum(w * v for w, v in zip(row[:-1], x)) + row[-1] for row in parameters]
        total += math.log(sum(math.exp(s) for s in scores)) - scores[t]
    return total / len(features) + l2 / 2 * float((parameters[:, :-1] ** 2).sum())


def test_loss_by_hand() -> None:
    # two classes, one feature: scores (1, -1) for x = 1, so the loss is log(1 + e^-2); norm of the weights 2, l2 / 2 * 2 = 0.5
    parameters = np.array([[1.0, 0.0], [-1.0, 0.0]])
    loss, _ = objective(parameters, np.array([[1.0]]), np.array([0]), 0.5)
    assert loss == pytest.approx(math.log(1 + math.exp(-2)) + 0.5)


def test_the_bias_is_not_regularised() -> None:
    loss, gradient = objective(np.array([[0.0, 5.0]]), np.array([[1.0]]), np.array([0]), 100.0)
    assert loss == 0 and not gradient.any()


@given(st.integers(2, 9), st.integers(1, 4), st.integers(1, 4), st.floats(0, 2), st.integers(0, 10**6))
def test_loss_and_gradient_against_loops_and_differences(
    samples: int, width: int, classes: int, l2: float, seed: int
) -> None:
    features, targets, parameters = problem(samples, width, classes, seed)
    before = features.copy(), parameters.copy()
    loss, gradient = objective(parameters, features, targets, l2)
    assert loss == pytest.approx(naive_loss(parameters, features, targets, l2), rel=1e-10)
    step = 1e-6
    for index in np.ndindex(parameters.shape):
        up, down = parameters.copy(), parameters.copy()
        up[index] += step
        down[index] -= step
        slope = (naive_loss(up, features, targets, l2) - naive_loss(down, features, targets, l2)) / (2 * step)
        assert gradient[index] == pytest.approx(slope, abs=1e-7)
    assert (features == before[0]).all() and (parameters == before[1]).all()


def newton(features: np.ndarray, targets: np.ndarray, classes: int, l2: float) -> np.ndarray:
    """The minimum by Newton's method with the full Hessian: an independent way to it."""
    samples, width = features.shape
    inputs = np.hstack([features, np.ones((samples, 1))])
    wanted = np.eye(classes)[targets]
    parameters = np.zeros((classes, width + 1))
    penalty = np.append(np.full(width, l2), 1e-9)  # the common shift of all biases is free: hold it
    for _ in range(60):
        scores = inputs @ parameters.T
        p = np.exp(scores - scores.max(axis=1, keepdims=True))
        p /= p.sum(axis=1, keepdims=True)
        gradient = ((p - wanted).T @ inputs / samples + penalty * parameters).ravel()
        curvature = np.einsum("nc,cd->ncd", p, np.eye(classes)) - np.einsum("nc,nd->ncd", p, p)
        hessian = np.einsum("ncd,ni,nj->cidj", curvature, inputs, inputs).reshape(len(gradient), -1) / samples
        hessian += np.diag(np.tile(penalty, classes))
        parameters = parameters - np.linalg.solve(hessian, gradient).reshape(parameters.shape)
    return parameters


@pytest.mark.parametrize("l2", [1.0, 0.1, 1e-3])
def test_the_minimum_is_newtons(l2: float) -> None:
    features, targets, _ = problem(60, 4, 3, 1)
    found = fit(features, targets, 3, l2, 1000)
    exact = newton(features, targets, 3, l2)
    assert found.converged
    assert found.parameters[:, :-1] == pytest.approx(exact[:, :-1], abs=2e-4)
    biases = found.parameters[:, -1] - found.parameters[:, -1].mean()
    assert biases == pytest.approx(exact[:, -1] - exact[:, -1].mean(), abs=2e-4)


def test_the_start_changes_the_way_and_not_the_end() -> None:
    features, targets, start = problem(50, 3, 4, 2)
    assert fit(features, targets, 4, 0.05, 1000, start).parameters[:, :-1] == pytest.approx(
        fit(features, targets, 4, 0.05, 1000).parameters[:, :-1], abs=2e-4
    )


def test_too_few_iterations_are_told() -> None:
    features, targets, _ = problem(60, 4, 3, 1)
    assert not fit(features, targets, 3, 1e-4, 2).converged


def test_torch_tensors_give_the_same_minimum() -> None:
    features, targets, _ = problem(40, 5, 3, 3)
    plain = fit(features, targets, 3, 0.01, 500)
    tensors = fit(torch.from_numpy(features), torch.from_numpy(targets), 3, 0.01, 500)
    assert tensors.parameters == pytest.approx(plain.parameters, abs=1e-5)


def test_scores_are_log_probabilities() -> None:
    features, targets, _ = problem(40, 5, 3, 4)
    scores = fit(features, targets, 3, 0.01, 500).scores(1000 * features)
    assert np.exp(scores).sum(axis=1) == pytest.approx(np.ones(40))


def test_a_single_class_is_always_predicted() -> None:
    found = fit(np.random.default_rng(0).normal(size=(5, 2)), np.zeros(5, int), 1, 0.1, 100)
    assert found.scores(np.ones((3, 2))).tolist() == [[0.0]] * 3


def test_scaling_by_hand() -> None:
    scaling = Scaling.of(np.array([[1.0, 7.0], [3.0, 7.0]]))
    assert scaling(np.array([[4.0, 7.0], [2.0, 9.0]])).tolist() == [[2.0, 0.0], [0.0, 0.0]]


def test_rounding_is_not_blown_up_to_a_feature() -> None:
    constant = np.float32(0.1) * np.ones((50, 1), np.float32)
    constant[::2] = np.nextafter(constant[0], np.float32(1))
    assert not Scaling.of(constant)(constant).any()
