"""Choosing the epoch of a head by its loss on videos that were held out of the training."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from engine.run.context import Context
from stages.localization.batches import head_batch
from stages.localization.videos import TrainingVideos
from stages.snippets.index import SnippetReader
from stages.tal.gtad import Gtad
from stages.tal.head_spec import HeadLoss
from stages.tal.loss import gtad_loss, targets


@torch.no_grad()
def held_out_loss(
    head: Gtad, reader: SnippetReader, videos: TrainingVideos, batch: int, spec: HeadLoss, context: Context
) -> float:
    """Mean over the held-out videos of the loss of their batches. The same cells are drawn whenever it is asked for."""
    head.eval()
    numbers = np.flatnonzero(videos.held)
    total = 0.0
    for first in range(0, len(numbers), batch):
        part = numbers[first : first + batch]
        shown = head_batch(reader, videos, part).to(context.device)
        wanted = targets(shown.start, shown.end, shown.iou, spec, context.torch_rng("held-out bands", first))
        total += float(gtad_loss(head(shown.features), wanted, spec).total) * len(part)
    head.train()
    return total / len(numbers)


class LowestLoss:
    """Keeps the weights of the epoch of lowest loss, the first of equal ones. Goes on after a kill (``state_dict``).

    epoch: its number, from 1; 0 as long as none was offered.
    """

    def __init__(self, network: torch.nn.Module) -> None:
        self.network = network
        self.epoch, self.loss = 0, math.inf
        self._weights: dict[str, Tensor] = {}

    def offer(self, epoch: int, loss: float) -> None:
        """The network as it is now, after ``epoch``, has this loss on held-out videos."""
        if loss < self.loss:
            self.epoch, self.loss = epoch, loss
            self._weights = {name: value.clone() for name, value in self.network.state_dict().items()}

    def put_back(self) -> None:
        """Give the network the weights of the best epoch."""
        if self.epoch:
            self.network.load_state_dict(self._weights)

    def state_dict(self) -> dict[str, Any]:
        return {"epoch": self.epoch, "loss": self.loss, "weights": self._weights}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self.epoch, self.loss, self._weights = state["epoch"], state["loss"], dict(state["weights"])
