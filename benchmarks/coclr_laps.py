"""The coclr stage with a stopwatch in it: its own code runs, and says where the time of each step went."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import torch

from benchmarks.packed_clips import PackedClips, PackedFlows
from engine.run.checkpoint import Checkpoints
from engine.run.context import Context
from engine.run.local import Local
from engine.track.record import Record
from stages.coclr import stage
from stages.coclr.miner import load_miner
from stages.coclr.spec import Config
from stages.nn.encoders import build_encoder
from stages.nn.head import Projection
from stages.nn.optim import optimizer
from stages.nn.spec import Card
from stages.nn.weights import save_encoder, save_head
from stages.video.clips import Clips
from stages.video.views import ViewReader

PARTS = ("data", "encoder", "mining forward", "mining", "loss", "optimiser", "rest")
"""data: loading and colours; encoder: query forward and backward, key forward; mining: beyond the frozen network's
forward; optimiser: and the slow copy; rest: what is logged, and the queue."""


@dataclass
class Laps:
    """Seconds of each step, by part. ``lap`` charges what has passed since the last call to a part."""

    device: torch.device
    clock: Callable[[], float] = time.perf_counter
    steps: list[dict[str, float]] = field(default_factory=list)
    _last: float = 0.0

    def begin(self) -> None:
        self.steps.append(dict.fromkeys(PARTS, 0.0))
        self._last = self._now()

    def lap(self, part: str) -> None:
        now = self._now()
        if self.steps:  # before the first step there is nothing to charge to
            self.steps[-1][part] += now - self._last
        self._last = now

    def around(self, before: str | None, function: Callable, after: str | None) -> Callable:
        """``function``; what led to it is charged to ``before``, and itself to ``after``."""

        def timed(*arguments: Any, **named: Any) -> Any:
            if before:
                self.lap(before)
            result = function(*arguments, **named)
            if after:
                self.lap(after)
            return result

        return timed

    def _now(self) -> float:
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)
        return self.clock()


@dataclass
class Turns(Context):
    """A context that draws nothing, takes laps, and lets another have a turn before every step."""

    laps: Laps | None = None
    turn: Callable[[int], None] = lambda step: None

    def steps(self, total: int, state: Mapping[str, Any], what: str = "training") -> Iterator[int]:
        for step in super().steps(total, state, what):
            self.turn(step)
            self.laps.begin()
            yield step
            self.laps.lap("rest")

    def picture(self, name: str, image: Any) -> Path:
        return self.out


def run_with_laps(
    config: Config,
    clips: PackedClips,
    flows: PackedFlows,
    scratch: Path,
    local: Local,
    turn: Callable[[int], None],
    clock: Callable[[], float] = time.perf_counter,
) -> list[dict[str, float]]:
    """Run the stage on ``clips``; returns the seconds of every step by part. ``turn(step)`` is called before each."""
    folders = {}
    for role, view, seed in (("init", config.view, 1), ("miner", config.other, 2)):
        folders[role] = scratch / role
        folders[role].mkdir()
        encoder = build_encoder(config.encoder, view.channels, seed)
        card = Card(encoder=config.encoder, view_name=role, view=view, clip=config.clip, stage="benchmark")
        save_encoder(folders[role], encoder, card)
        save_head(folders[role], Projection(encoder.features, config.dim, seed))
    (scratch / "out").mkdir()
    context = Turns(
        "benchmark.coclr", 0, folders | {"clips": scratch, "flow": scratch}, scratch / "out", local,
        Record(None), Checkpoints(None), turn=turn,
    )  # fmt: skip
    context.laps = Laps(context.device, clock)
    with stopwatch(context.laps), patch.object(Clips, "open", lambda folder, context: clips):
        readers = {"flow": flows}
        with patch.object(stage, "open_view", lambda view, clips, _: ViewReader(view, clips, readers.get(view.kind))):
            stage.run(config, context)
    return context.laps.steps


@contextmanager
def stopwatch(laps: Laps) -> Iterator[None]:
    """Wrap what the stage calls, in the order in which it does; nothing that it computes changes."""

    def timed_miner(*arguments: Any) -> torch.nn.Module:
        miner = load_miner(*arguments)
        miner.forward = laps.around("encoder", miner.forward, "mining forward")
        return miner

    def timed_optimizer(*arguments: Any) -> torch.optim.Optimizer:
        optim = optimizer(*arguments)
        optim.register_step_pre_hook(lambda *_: laps.lap("encoder"))  # the backward pass
        return optim

    wrapped = {
        "in_shuffled_groups": laps.around("data", stage.in_shuffled_groups, "encoder"),
        "load_miner": timed_miner,
        "in_groups": laps.around(None, stage.in_groups, "encoder"),
        "draw_dropped": laps.around("mining", stage.draw_dropped, "loss"),
        "positive_columns": laps.around(None, stage.positive_columns, "mining"),
        "set_learning_rate": laps.around("loss", stage.set_learning_rate, None),
        "optimizer": timed_optimizer,
        "momentum_update": laps.around(None, stage.momentum_update, "optimiser"),
        "view_pictures": lambda *_: {},
        "mined_picture": lambda *_: None,
        "curve_picture": lambda *_: np.zeros((1, 1, 3), np.uint8),
    }
    with ExitStack() as stack:
        for name, replacement in wrapped.items():
            stack.enter_context(patch.object(stage, name, replacement))
        yield
