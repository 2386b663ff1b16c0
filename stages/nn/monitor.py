"""What a contrastive training tells of itself: smoothed losses, similarities, the queue, and signs of collapse."""

from __future__ import annotations

import math
import time
from typing import Any

import torch
from torch import Tensor

from engine.errors import UserError
from engine.run.context import Context
from stages.nn.embedding import alignment, effective_rank, spread, uniformity
from stages.nn.queue import Ring

POINTS = 500
"""Points of the curves of losses and similarities, over the whole training."""
EMBEDDING_POINTS = 50
"""Points of the curves of the embedding, which cost a few milliseconds each."""
WINDOW = 50
"""Steps that a smoothed value looks back on; a twentieth of the training where that is shorter."""
COLLAPSED_SPREAD = 0.05
COLLAPSED_RANK = 2.0

SMOOTHED = ("loss", "positive_similarity", "negative_similarity", "own_key_top1")
PANELS = {
    "loss": ("loss",),
    "similarity": ("positive_similarity", "negative_similarity", "own_key_top1"),
    "embedding": ("alignment", "uniformity"),
    "effective rank": ("effective_rank",),
}


class ContrastMonitor:
    """Follows one training. Its state belongs into the checkpoints, so that curves go on as if nothing had happened."""

    def __init__(self, context: Context, total: int, temperature: float) -> None:
        self.context = context
        self.total = total
        self.temperature = temperature
        self.metrics: dict[str, float] = {}
        self._every = math.ceil(total / POINTS)
        self._embedding_every = math.ceil(total / EMBEDDING_POINTS)
        self._sums = torch.zeros(len(SMOOTHED), device=context.device)  # on the device: nothing waits for it
        self._weight = 0.0
        self._keep = 1 - 1 / min(WINDOW, max(1, total / 20))
        self._warned = False
        self._pace: tuple[float, float, int] | None = None

    @torch.no_grad()
    def after(
        self,
        step: int,
        loss: Tensor,
        logits: Tensor,
        positives: Tensor,
        valid: Tensor,
        queries: Tensor,
        keys: Tensor,
        queue: Ring,
        rate: float,
    ) -> None:
        """Take note of a step that has just been made; ``queue`` already holds its keys.

        loss: scalar; logits: [N, A]; positives: bool [N, A]; valid: bool [A] or [N, A]; queries, keys: [N, D]; rate: of
        learning.
        Raises UserError when the loss has become NaN or infinite.
        """
        now = torch.stack([loss, *similarities(logits, positives, valid, self.temperature), own_key_top1(logits, valid)])
        self._sums = self._keep * self._sums + (1 - self._keep) * now
        self._weight = self._keep * self._weight + (1 - self._keep)
        done = step + 1
        if self._due(done, self._every):
            self.metrics |= dict(zip(SMOOTHED, (self._sums / self._weight).tolist()))
            if not math.isfinite(self.metrics["loss"]):
                raise UserError(
                    f"the loss became {self.metrics['loss']} by step {done}: lower schedule.lr (now {rate:.3g}), "
                    "add schedule.warmup_epochs, or set precision to fp32"
                )
            self.metrics |= {"learning_rate": rate, "queue_fill": queue.count / queue.size, "queue_age": queue.age()}
            self.context.log(done, **self.metrics)
        if self._due(done, self._embedding_every):
            self._embedding(done, queries, keys, queue)

    def pace(self, step: int, batch: int, waited: float) -> None:
        """Note clips a second, share of waiting for data, and memory: they differ from run to run."""
        if not self._due(step + 1, self._every):
            return
        now = time.perf_counter()
        if self._pace is not None:
            then, waited_then, step_then = self._pace
            values = {
                "clips_per_second": (step - step_then) * batch / (now - then),
                "data_wait_share": (waited - waited_then) / (now - then),
            }
            if self.context.device.type == "cuda":
                values["gpu_memory_gb"] = torch.cuda.max_memory_allocated(self.context.device) / 1e9
            self.context.note(step + 1, **values)
        self._pace = (now, waited, step)

    def state_dict(self) -> dict[str, Any]:
        return {
            "sums": self._sums.cpu(),
            "weight": self._weight,
            "warned": self._warned,
            "metrics": dict(self.metrics),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self._sums = state["sums"].to(self.context.device)
        self._weight, self._warned, self.metrics = state["weight"], state["warned"], dict(state["metrics"])

    def _due(self, done: int, every: int) -> bool:
        return done % every == 0 or done in (1, self.total)

    def _embedding(self, done: int, queries: Tensor, keys: Tensor, queue: Ring) -> None:
        stored = queue.keys[: queue.count]
        values = {
            "alignment": alignment(queries, keys),
            "uniformity": uniformity(stored),
            "effective_rank": effective_rank(stored),
            "spread": spread(stored),
        }
        self.metrics |= values
        self.context.log(done, **values)
        collapsed = values["spread"] < COLLAPSED_SPREAD or values["effective_rank"] < COLLAPSED_RANK
        # The keys of a network that has not learnt yet lie close together too, so the first tenth says nothing.
        if collapsed and not self._warned and queue.count == queue.size and done > self.total / 10:
            self._warned = True
            self.context.warn(
                f"step {done}: the embedding has collapsed (effective rank {values['effective_rank']:.1f} of "
                f"{stored.shape[1]}, spread {values['spread']:.3f}): all clips look alike to the network. Lower "
                "schedule.lr, raise the temperature, or check the pictures of the views"
            )


def similarities(logits: Tensor, positives: Tensor, valid: Tensor, temperature: float) -> tuple[Tensor, Tensor]:
    """Mean cosine to positives and to negatives (0 where there are none), from logits [N, A] and masks."""
    cosines = logits.float() * temperature
    return _mean(cosines, positives & valid), _mean(cosines, ~positives & valid)


def own_key_top1(logits: Tensor, valid: Tensor) -> Tensor:
    """Share of the queries to which their own key (column 0) is nearest of all."""
    return (logits.masked_fill(~valid, -torch.inf).argmax(1) == 0).float().mean()


def _mean(values: Tensor, mask: Tensor) -> Tensor:
    return values.masked_fill(~mask, 0).sum() / mask.sum().clamp(min=1)
