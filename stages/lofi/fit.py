"""Whether a training fits the machine: said before its first step, and compared with what it took after the last."""

from __future__ import annotations

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


def compare_memory(predicted: Mapping[Fidelity, Memory], context: Context) -> None:
    """Say what the GPU's memory was used at most, beside the prediction."""
    if context.device.type == "cuda":
        measured = torch.cuda.max_memory_allocated(context.device) / 1e9
        most = max(memory.peak for memory in predicted.values()) / 1e9
        context.say(f"measured peak of memory: {measured:.3g} GB; predicted: {most:.3g} GB")
