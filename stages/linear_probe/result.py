"""What a probe found, and how its settings were chosen."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from typing import TYPE_CHECKING, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from engine.run.context import Context


@dataclass(frozen=True)
class Trial:
    """A setting, fitted without the held-out videos and measured on them. ``loss``: their mean cross-entropy."""

    setting: Mapping[str, float]
    accuracy: float
    loss: float


@dataclass(frozen=True)
class Probed:
    """The probe of one seed. scores: [test videos, classes] log-probabilities, -inf for classes never trained on.

    trials: empty when there was nothing to choose; best: which of them was chosen.
    """

    scores: NDArray[np.float64]
    trials: tuple[Trial, ...] = ()
    best: int = 0


def best_of(trials: Sequence[Trial]) -> int:
    """The trial of highest accuracy; among equals that of lowest loss, then the first."""
    return min(range(len(trials)), key=lambda i: (-trials[i].accuracy, trials[i].loss, i))


def to_all_classes(scores: NDArray, seen: NDArray, classes: int) -> NDArray[np.float64]:
    """Scores [N, seen classes] as [N, classes], -inf for classes that were not among those ``seen``."""
    full = np.full((len(scores), classes), -np.inf)
    full[:, seen] = scores
    return full


def write_trials(probed: Mapping[int, Probed], context: Context) -> None:
    """``held_out.csv``: every setting that was tried, for each seed, and which was chosen."""
    settings = list(next((one.trials[0].setting for one in probed.values() if one.trials), {}))
    if not settings:
        return
    with (context.out / "held_out.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["seed", *settings, "accuracy", "loss", "chosen"])
        for seed, one in probed.items():
            for i, trial in enumerate(one.trials):
                values = [f"{trial.setting[name]:g}" for name in settings]
                writer.writerow(
                    [seed, *values, f"{trial.accuracy:.6f}", f"{trial.loss:.6f}", int(i == one.best)]
                )
