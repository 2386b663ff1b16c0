"""What a training of a head tells of itself: the loss and its terms."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import torch

from engine.errors import UserError
from engine.run.context import Context
from stages.tal.loss import HeadLosses

POINTS = 500
"""Points of the curves over the whole training."""

PANELS = {
    "loss": ("loss", "held_out_loss"),
    "terms of the loss (unweighted)": ("boundaries", "classification", "regression"),
    "learning rate": ("learning_rate",),
}


class HeadMonitor:
    """Follows one training. Its state belongs into the checkpoints, so that curves go on as if nothing had happened.

    metrics: the newest point of the curves, means since the point before.
    """

    def __init__(self, context: Context, total: int) -> None:
        self.context = context
        self.total = total
        self.metrics: dict[str, float] = {}
        self._every = math.ceil(total / POINTS)
        self._sums = torch.zeros(
            len(HeadLosses._fields), device=context.device
        )  # on the device: nothing waits for it
        self._steps = 0

    def due(self, step: int) -> bool:
        """Whether ``after`` logs a point at this step."""
        return (step + 1) % self._every == 0 or step + 1 in (1, self.total)

    @torch.no_grad()
    def after(self, step: int, losses: HeadLosses, rate: float) -> None:
        """Take note of a step. Raises UserError when the loss has become NaN or infinite."""
        self._sums += torch.stack([loss.detach() for loss in losses])
        self._steps += 1
        if not self.due(step):
            return
        total, node, classification, regression = (self._sums / self._steps).tolist()
        self._sums.zero_()
        self._steps = 0
        if not math.isfinite(total):
            raise UserError(
                f"the head's loss became {total} by step {step + 1}: lower schedule.lr (now {rate:.3g}) "
                "or add schedule.warmup_epochs"
            )
        self.metrics = {
            "loss": total,
            "boundaries": node,
            "classification": classification,
            "regression": regression,
            "learning_rate": rate,
        }
        self.context.log(step + 1, **self.metrics)

    def state_dict(self) -> dict[str, Any]:
        return {"sums": self._sums, "steps": self._steps, "metrics": dict(self.metrics)}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self._sums.copy_(state["sums"])
        self._steps, self.metrics = state["steps"], dict(state["metrics"])
