"""The weights that a half-cycle hands on."""

from __future__ import annotations

import math
from typing import Any, Literal

from torch import Tensor, nn


class Handed:
    """Keeps a copy of the network after the epoch of the lowest loss, if that is what is handed on."""

    def __init__(self, network: nn.Module, rule: Literal["last", "lowest_loss"]) -> None:
        self.network = network
        self.rule = rule
        self.loss = math.inf
        self._weights: dict[str, Tensor] = {}

    def after_epoch(self, loss: float) -> None:
        """``loss``: the mean of an epoch that has just ended."""
        if self.rule == "lowest_loss" and loss < self.loss:
            self.loss = loss
            self._weights = {name: value.clone() for name, value in self.network.state_dict().items()}

    def put_back(self) -> None:
        """Give the network the weights that are handed on."""
        if self._weights:
            self.network.load_state_dict(self._weights)

    def state_dict(self) -> dict[str, Any]:
        return {"loss": self.loss, "weights": self._weights}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.loss, self._weights = state["loss"], dict(state["weights"])
