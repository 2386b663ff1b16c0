"""Mode ``lbfgs``: logistic regression on stored features, its regulariser chosen on held-out training videos."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Mapping

import numpy as np
from numpy.typing import NDArray

from stages.features.splits import Part
from stages.linear_probe.logistic import Classifier, Scaling, fit
from stages.linear_probe.pictures import choice_picture
from stages.linear_probe.result import Probed, Trial, best_of, to_all_classes
from stages.linear_probe.spec import Lbfgs
from stages.nn.metrics import top_k_accuracy

if TYPE_CHECKING:
    from engine.run.context import Context

LARGE = 2e8
"""Products of one evaluation (videos x width x classes) from which on torch, with its threads or a GPU, is worth loading."""


def probe_features(
    features: Mapping[int, NDArray],
    train: Part,
    test: Part,
    held: NDArray[np.bool_],
    classes: int,
    config: Lbfgs,
    context: Context,
) -> dict[int, Probed]:
    """Probe the features [videos, D] of each seed. held: [training videos] those on which the regulariser is chosen."""
    seen, targets = np.unique(train.targets, return_inverse=True)
    grid = sorted(config.l2, reverse=True)
    probed = {}
    for seed, table in context.progress(features.items(), "probe", len(features)):
        known, asked = table[train.rows], table[test.rows]
        trials = try_out(known, targets, held, len(seen), grid, config.iterations, context)
        best = best_of(trials) if trials else len(grid) // 2
        classifier, scaling = fitted(known, targets, len(seen), grid[best], config.iterations, context)
        if not classifier.converged:
            context.warn(
                f"seed {seed}: L-BFGS stopped at {config.iterations} iterations before the minimum; "
                "raise lbfgs.iterations"
            )
        probed[seed] = Probed(
            to_all_classes(classifier.scores(scaling(asked)), seen, classes), tuple(trials), best
        )
    _comment(grid, probed, held, context)
    return probed


def try_out(
    features: NDArray,
    targets: NDArray,
    held: NDArray[np.bool_],
    classes: int,
    grid: list[float],
    iterations: int,
    context: Context,
) -> list[Trial]:
    """Fit without the held-out videos and measure on them, for each regulariser from the strongest on; each fit starts
    where the one before ended. Empty when there are no held-out videos or only one regulariser."""
    if not held.any() or len(grid) == 1:
        return []
    scaling = Scaling.of(features[~held])
    inputs, labels = _arrays(scaling(features[~held]), targets[~held], classes, context)
    asked = scaling(features[held])
    trials, start = [], None
    for l2 in grid:
        classifier = fit(inputs, labels, classes, l2, iterations, start)
        start = classifier.parameters
        scores = classifier.scores(asked)
        loss = -scores[np.arange(len(scores)), targets[held]].mean()
        trials.append(Trial({"l2": l2}, top_k_accuracy(scores, targets[held], 1), float(loss)))
    return trials


def fitted(
    features: NDArray, targets: NDArray, classes: int, l2: float, iterations: int, context: Context
) -> tuple[Classifier, Scaling]:
    """The classifier of all these videos, and the scaling that goes before it."""
    scaling = Scaling.of(features)
    inputs, labels = _arrays(scaling(features), targets, classes, context)
    return fit(inputs, labels, classes, l2, iterations), scaling


def at_end_of_grid(trials: tuple[Trial, ...], best: int) -> bool:
    """Whether the best lies at an end, and is really better than what lies beside it: the grid may be too short."""
    if len(trials) < 2 or best not in (0, len(trials) - 1):
        return False
    beside = 1 if best == 0 else len(trials) - 2
    return trials[best].accuracy > trials[beside].accuracy


def _comment(
    grid: list[float], probed: Mapping[int, Probed], held: NDArray[np.bool_], context: Context
) -> None:
    if len(grid) == 1:
        return
    if not held.any():
        context.warn(
            "too few training videos to hold some out (one of each class): "
            f"regulariser {grid[len(grid) // 2]:g}, the middle of the grid"
        )
        return
    short = [seed for seed, one in probed.items() if at_end_of_grid(one.trials, one.best)]
    if short:
        values = ", ".join(f"{grid[probed[seed].best]:g} (seed {seed})" for seed in short)
        context.warn(
            f"the chosen regulariser lies at the end of the grid: {values}; extend lbfgs.l2 in that direction"
        )
    context.picture(
        "regulariser", choice_picture({seed: (one.trials, one.best) for seed, one in probed.items()})
    )


def _arrays(features: NDArray, targets: NDArray, classes: int, context: Context) -> tuple[Any, Any]:
    """The same as tensors on the device where that pays, so that small probes need not load torch at all."""
    if features.size * classes < LARGE:
        return features, targets
    import torch

    return torch.from_numpy(features).to(context.device), torch.from_numpy(targets).to(context.device)
