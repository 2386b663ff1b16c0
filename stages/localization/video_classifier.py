"""A classifier of whole videos on the mean of their snippets' features: what says which classes proposals are of.

Logistic regression, solved to its minimum, on standardised features; a video of several classes counts once for each.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from engine.errors import UserError
from engine.run.context import Context
from stages.linear_probe.logistic import Classifier, Scaling
from stages.linear_probe.regression import fitted, try_out
from stages.linear_probe.result import best_of
from stages.linear_probe.spec import Lbfgs
from stages.localization.videos import TrainingVideos

FILE = "classifier.safetensors"


@dataclass(frozen=True)
class VideoClassifier:
    """linear: of standardised features; seen: int64 [k], the classes that it tells apart, of ``classes`` in all."""

    linear: Classifier
    scaling: Scaling
    seen: NDArray[np.int64]
    classes: int

    def probabilities(self, means: NDArray[np.floating]) -> NDArray[np.float64]:
        """Of features [N, D]: [N, classes], 0 for classes that no training video shows."""
        found = np.zeros((len(means), self.classes))
        found[:, self.seen] = np.exp(self.linear.scores(self.scaling(means)))
        return found

    def save(self, folder: Path) -> None:
        """Write ``classifier.safetensors``."""
        from safetensors.numpy import save_file

        tensors = {
            "parameters": self.linear.parameters,
            "mean": self.scaling.mean,
            "std": self.scaling.std,
            "seen": self.seen,
            "classes": np.array([self.classes], np.int64),
        }
        save_file({name: np.ascontiguousarray(values) for name, values in tensors.items()}, folder / FILE)

    @staticmethod
    def open(folder: Path) -> VideoClassifier:
        """Read what ``save`` wrote. Raises UserError when it cannot be read."""
        from safetensors import SafetensorError
        from safetensors.numpy import load_file

        try:
            stored = load_file(folder / FILE)
        except (SafetensorError, OSError) as error:
            raise UserError(f"{folder / FILE} cannot be read: {error}") from None
        linear = Classifier(stored["parameters"], loss=float("nan"), converged=True)
        scaling = Scaling(stored["mean"], stored["std"])
        return VideoClassifier(linear, scaling, stored["seen"], int(stored["classes"][0]))


def fit_video_classifier(
    means: NDArray[np.float64], videos: TrainingVideos, classes: int, config: Lbfgs, context: Context
) -> tuple[VideoClassifier, dict[str, float]]:
    """Fit on all training videos with the regulariser that does best on the held-out ones when fitted on the others.

    means: [N, D] of ``videos``. Also returns ``l2``, and ``held_out_top1`` where there was something to choose.
    """
    counts = [len(own) for own in videos.classes]
    sample = np.repeat(np.arange(len(counts)), counts)
    seen, targets = np.unique(np.concatenate(videos.classes), return_inverse=True)
    held, features = videos.held[sample], means[sample]
    grid = sorted(config.l2, reverse=True)
    trials = try_out(features, targets, held, len(seen), grid, config.iterations, context)
    best = best_of(trials) if trials else len(grid) // 2
    linear, scaling = fitted(features, targets, len(seen), grid[best], config.iterations, context)
    if not linear.converged:
        context.warn(
            f"the classifier of videos stopped at {config.iterations} iterations: raise classifier.iterations"
        )
    found = {"l2": grid[best]} | ({"held_out_top1": trials[best].accuracy} if trials else {})
    return VideoClassifier(linear, scaling, seen, classes), found
