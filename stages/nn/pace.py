"""How fast a training goes: it differs from run to run, so it is noted and never an output."""

from __future__ import annotations

import time

import torch

from engine.run.context import Context


class Pace:
    """Notes clips a second, share of waiting for data, and memory, between the steps at which it is asked to."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._last: tuple[float, float, int] | None = None

    def note(self, done: int, batch: int, waited: float) -> None:
        """done: steps so far; batch: clips in each; waited: seconds spent waiting for data so far."""
        now = time.perf_counter()
        if self._last is not None:
            then, waited_then, done_then = self._last
            values = {
                "clips_per_second": (done - done_then) * batch / (now - then),
                "data_wait_share": (waited - waited_then) / (now - then),
            }
            if self._context.device.type == "cuda":
                values["gpu_memory_gb"] = torch.cuda.max_memory_allocated(self._context.device) / 1e9
            self._context.note(done, **values)
        self._last = (now, waited, done)
