"""Whether a training fits the machine: said before its first step, and compared with what it took after the last."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Mapping

import torch

from engine.errors import UserError
from engine.run.context import Context
from stages.lofi.cost import memories, memory_line, ways_to_fit
from stages.lofi.spec import Config, Fidelity
from stages.tal.memory import Memory


def announce_memory(config: Config, bf16: bool, context: Context) -> Mapping[Fidelity, Memory]:
    """Say what each configuration will take, and what would fit where one does not fit the GPU."""
    predicted = memories(config, bf16)
    context.say(memory_line(config, predicted))
    if context.device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(context.device)
        there = torch.cuda.get_device_properties(context.device).total_memory / 1e9
        warn_if_too_much(config, predicted, there, bf16, context)
    return predicted


def warn_if_too_much(
    config: Config, predicted: Mapping[Fidelity, Memory], there_gb: float, bf16: bool, context: Context
) -> None:
    """Warn of configurations that are predicted to take more than there is [GB], with ways that fit."""
    large = [fidelity for fidelity, memory in predicted.items() if memory.peak > there_gb * 1e9]
    if not large:
        return
    context.warn(
        f"{', '.join(large)} will hardly fit the GPU's {there_gb:.3g} GB: set micro_batch or chunk. "
        f"With {config.at_once} videos at a time these would fit:"
    )
    try:
        for line in ways_to_fit(config, there_gb, bf16):
            context.say(line)
    except UserError as nothing:
        context.say(str(nothing))


class StepTimes:
    """How long steps of each configuration take, as far as this process ran them."""

    def __init__(self) -> None:
        self._seconds: dict[Fidelity, float] = defaultdict(float)
        self._steps: dict[Fidelity, int] = defaultdict(int)
        self._last = time.perf_counter()

    def after(self, fidelity: Fidelity) -> None:
        """A step of this configuration has ended; waiting for its data is part of it."""
        now = time.perf_counter()
        self._seconds[fidelity] += now - self._last
        self._steps[fidelity] += 1
        self._last = now

    def mean(self, fidelity: Fidelity) -> float | None:
        """Seconds a step; None where there was none."""
        steps = self._steps[fidelity]
        return self._seconds[fidelity] / steps if steps else None


def say_costs(
    predicted: Mapping[Fidelity, Memory], shares: Mapping[Fidelity, float], times: StepTimes, context: Context
) -> None:
    """A line for each configuration: what it costs beside full fidelity. shares: as of ``encoder_shares``."""
    for fidelity, share in shares.items():
        seconds = times.mean(fidelity)
        pace = "" if seconds is None else f", {seconds:.3g} s a step"
        context.say(
            f"{fidelity}: the encoder keeps {share:.3f} of what it keeps at full fidelity, the head takes "
            f"{predicted[fidelity].head / 1e9:.2g} GB{pace}"
        )


def compare_memory(predicted: Mapping[Fidelity, Memory], context: Context) -> None:
    """Say what the GPU's memory was used at most, beside the prediction."""
    if context.device.type == "cuda":
        measured = torch.cuda.max_memory_allocated(context.device) / 1e9
        most = max(memory.peak for memory in predicted.values()) / 1e9
        context.say(f"measured peak of memory: {measured:.3g} GB; predicted: {most:.3g} GB")
