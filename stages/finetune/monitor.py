"""What a supervised training tells of itself: loss, accuracy on what it is trained on, and learning rates."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from engine.errors import UserError
from engine.run.context import Context

POINTS = 500
"""Points of the curves over the whole training."""

PANELS = {
    "cross-entropy": ("loss", "held_out_loss"),
    "accuracy (augmented: of training clips, with dropout)": ("augmented_top1", "held_out_top1"),
    "learning rate": ("learning_rate", "backbone_learning_rate"),
}


class TrainingMonitor:
    """Follows one training. Its state belongs into the checkpoints, so that curves go on as if nothing had happened.

    metrics: the newest point of the curves: ``loss`` and ``augmented_top1`` are means since the point before.
    """

    def __init__(self, context: Context, total: int) -> None:
        self.context = context
        self.total = total
        self.metrics: dict[str, float] = {}
        self._every = math.ceil(total / POINTS)
        self._sums = torch.zeros(2, device=context.device)  # on the device: nothing waits for it
        self._steps = 0

    def due(self, step: int) -> bool:
        """Whether ``after`` logs a point at this step."""
        return (step + 1) % self._every == 0 or step + 1 in (1, self.total)

    @torch.no_grad()
    def after(
        self, step: int, loss: Tensor, logits: Tensor, labels: Tensor, rates: Mapping[str, float]
    ) -> None:
        """Take note of a step. loss: scalar; logits: [B, classes]; labels: int64 [B]; rates: name -> learning rate.

        Raises UserError when the loss has become NaN or infinite.
        """
        right = (logits.argmax(1) == labels).float().mean()
        self._sums += torch.stack([loss.detach(), right])
        self._steps += 1
        if not self.due(step):
            return
        mean_loss, accuracy = (self._sums / self._steps).tolist()
        self._sums.zero_()
        self._steps = 0
        if not math.isfinite(mean_loss):
            raise UserError(
                f"the loss became {mean_loss} by step {step + 1}: lower schedule.lr and backbone_lr (now "
                f"{', '.join(f'{rate:.3g}' for rate in rates.values())}), add schedule.warmup_epochs, or set "
                "precision to fp32"
            )
        self.metrics = {"loss": mean_loss, "augmented_top1": accuracy, **rates}
        self.context.log(step + 1, **self.metrics)

    def state_dict(self) -> dict[str, Any]:
        return {"sums": self._sums, "steps": self._steps, "metrics": dict(self.metrics)}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self._sums.copy_(state["sums"])
        self._steps, self.metrics = state["steps"], dict(state["metrics"])
