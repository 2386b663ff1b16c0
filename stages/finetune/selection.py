"""Choosing the epoch that is handed on, by videos that were held out of the training."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor, nn

from engine.errors import UserError
from stages.classify.probabilities import class_probabilities, log_probabilities
from stages.features.windows import WindowBatches
from stages.nn.metrics import top_k_accuracy
from stages.nn.precision import Numbers

if TYPE_CHECKING:
    from engine.run.context import Context


def judge(
    network: nn.Module, batches: WindowBatches, targets: NDArray[np.int64], numbers: Numbers, context: Context
) -> tuple[float, float]:
    """Accuracy and mean cross-entropy on the videos of ``batches``, whose classes are ``targets`` [videos].

    The network looks in eval mode and is back in training mode afterwards. Raises UserError when it has diverged.
    """
    network.eval()
    classes = network.linear.out_features
    view = batches.reader.view
    scores = log_probabilities(
        batches, lambda pixels: class_probabilities([network], pixels, view, numbers), 1, classes, context
    )[0]
    network.train()
    if np.isnan(scores).any():
        raise UserError(
            "the network gives no numbers for held-out videos: the training has diverged. Lower schedule.lr and "
            "backbone_lr, add schedule.warmup_epochs, or set precision to fp32"
        )
    loss = -scores[np.arange(len(targets)), targets].mean()
    return top_k_accuracy(scores, targets, 1), float(loss)


class BestEpoch:
    """Keeps the weights of the epoch of highest accuracy; among equals of lowest loss, then of the first.

    epoch: its number, from 1; 0 as long as none was offered. Goes on after a kill (``state_dict``).
    """

    def __init__(self, network: nn.Module) -> None:
        self.network = network
        self.epoch = 0
        self.accuracy, self.loss = -1.0, math.inf
        self._weights: dict[str, Tensor] = {}

    def offer(self, epoch: int, accuracy: float, loss: float) -> None:
        """The network as it is now, after ``epoch``, has this accuracy and loss on held-out videos."""
        if (accuracy, -loss) > (self.accuracy, -self.loss):
            self.epoch, self.accuracy, self.loss = epoch, accuracy, loss
            self._weights = {name: value.clone() for name, value in self.network.state_dict().items()}

    def put_back(self) -> None:
        """Give the network the weights of the best epoch."""
        self.network.load_state_dict(self._weights)

    def state_dict(self) -> dict[str, Any]:
        return {"epoch": self.epoch, "accuracy": self.accuracy, "loss": self.loss, "weights": self._weights}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self.epoch, self.accuracy, self.loss = state["epoch"], state["accuracy"], state["loss"]
        self._weights = dict(state["weights"])
