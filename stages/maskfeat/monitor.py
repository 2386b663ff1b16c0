"""What masked prediction tells of itself: above all, whether it does better than a head that looks at nothing."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor

from engine.errors import UserError
from engine.run.context import Context

POINTS = 500
"""Points of the curves over the whole training."""
PATIENCE = 0.2
"""Share of the training after which a loss like a constant's is worth a warning."""

_MEANS = ("loss", "constant_loss", "gradient_norm", "masked")
PANELS = {
    "squared error": ("loss", "constant_loss"),
    "length of the gradient before it is clipped": ("gradient_norm",),
    "share of tokens that is hidden": ("masked",),
    "learning rate": ("learning_rate",),
}


class PredictionMonitor:
    """Follows one training. Its state belongs into the checkpoints, so that curves go on as if nothing had happened.

    metrics: the newest point of the curves, means since the point before. ``constant_loss`` is the error of the best
    constant prediction, ``loss_ratio`` the loss over it: 1 says that nothing has been learnt.
    """

    def __init__(self, context: Context, total: int) -> None:
        self.context = context
        self.total = total
        self.metrics: dict[str, float] = {}
        self._every = math.ceil(total / POINTS)
        self._sums = torch.zeros(len(_MEANS), device=context.device)  # on the device: nothing waits for it
        self._steps = 0
        self._warned = False

    def due(self, step: int) -> bool:
        """Whether ``after`` logs a point at this step."""
        return (step + 1) % self._every == 0 or step + 1 in (1, self.total)

    @torch.no_grad()
    def after(
        self, step: int, loss: Tensor, constant: Tensor, gradient_norm: Tensor, masked: float, rate: float
    ) -> None:
        """Take note of a step: three scalars on the device, the share of hidden tokens, the learning rate.

        Raises UserError when the loss has become NaN or infinite.
        """
        share = torch.full_like(constant, masked)
        self._sums += torch.stack([loss.detach(), constant, gradient_norm, share]).float()
        self._steps += 1
        if not self.due(step):
            return
        means = dict(zip(_MEANS, (self._sums / self._steps).tolist()))
        self._sums.zero_()
        self._steps = 0
        if not math.isfinite(means["loss"]):
            raise UserError(
                f"the loss became {means['loss']} by step {step + 1}: lower schedule.lr (now {rate:.3g}) or "
                "schedule.gradient_clip, raise schedule.warmup_epochs, or set precision to fp32"
            )
        ratio = means["loss"] / max(means["constant_loss"], 1e-12)
        self.metrics = {**means, "loss_ratio": ratio, "learning_rate": rate}
        self.context.log(step + 1, **self.metrics)
        if ratio >= 1 and not self._warned and step + 1 >= PATIENCE * self.total:
            self._warned = True
            self.context.warn(
                f"step {step + 1}: a squared error of {means['loss']:.4f} is no better than that of a constant "
                f"prediction ({means['constant_loss']:.4f}): nothing has been learnt yet. Raise schedule.lr or "
                "schedule.epochs, or loosen schedule.gradient_clip"
            )

    def state_dict(self) -> dict[str, Any]:
        return {"sums": self._sums, "steps": self._steps, "warned": self._warned, "metrics": dict(self.metrics)}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self._sums.copy_(state["sums"])
        self._steps, self._warned, self.metrics = state["steps"], state["warned"], dict(state["metrics"])


class PartOfTime:
    """The share of a training's time that goes into one part of its steps. On a GPU it is measured there; nothing waits."""

    def __init__(self, device: torch.device) -> None:
        self._cuda = device.type == "cuda"
        self._spans: list[tuple[torch.cuda.Event, torch.cuda.Event]] = []
        self._seconds = 0.0
        self._started: float | None = None

    @contextmanager
    def measured(self) -> Iterator[None]:
        """What runs inside belongs to the part."""
        self._started = self._started or time.perf_counter()
        if self._cuda:
            span = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
            span[0].record()
            yield
            span[1].record()
            self._spans.append(span)
        else:
            started = time.perf_counter()
            yield
            self._seconds += time.perf_counter() - started

    def share(self) -> float:
        """Since the part was first measured."""
        if self._spans:
            torch.cuda.synchronize()
            self._seconds += sum(first.elapsed_time(last) for first, last in self._spans) / 1000
            self._spans = []
        return self._seconds / (time.perf_counter() - self._started) if self._started else 0.0
