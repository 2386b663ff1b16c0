"""What end-to-end training will cost: memory of a step at each fidelity, and arithmetic, from shapes alone."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from stages.nn.cost import SUSTAINED_FLOPS, encoder_cost
from stages.tal.memory import Load, Memory, propose, step_memory

if TYPE_CHECKING:
    from stages.lofi.spec import Config, Fidelity


def load_at(config: Config, fidelity: Fidelity) -> Load:
    """What is in memory at a time."""
    seen = config.seen(fidelity)
    return Load(config.at_once, seen.count, seen.frames, seen.size, config.view.channels)


def memories(config: Config, bf16: bool) -> dict[Fidelity, Memory]:
    """Memory of a step in each configuration of the training."""
    kept = _optimiser_numbers(config)
    return {
        fidelity: step_memory(config.encoder, load_at(config, fidelity), config.chunk, config.head, bf16, kept)
        for fidelity in config.fidelities()
    }


def memory_line(config: Config, predicted: Mapping[Fidelity, Memory]) -> str:
    """For people: what each configuration is predicted to take."""
    parts = []
    for fidelity, memory in predicted.items():
        seen = config.seen(fidelity)
        parts.append(f"{fidelity} ({seen.count} x {seen.size} x {seen.size}) {memory.line()}")
    chunk = "" if config.chunk is None else f", {config.chunk} snippets encoded at a time"
    return f"predicted memory with {config.at_once} of {config.schedule.batch} videos at a time{chunk}: " + "; ".join(
        parts
    )


def ways_to_fit(config: Config, budget_gb: float, bf16: bool) -> list[str]:
    """For people: what would fit a budget. Raises UserError when nothing does."""
    found = propose(
        config.encoder,
        load_at(config, "full"),
        budget_gb,
        config.head,
        bf16,
        _optimiser_numbers(config),
        may_chunk=config.frozen_norm,
    )
    return [line for proposal in found for line in proposal.lines()]


def encoder_shares(config: Config) -> dict[Fidelity, float]:
    """Bytes that the encoder keeps of a video, in fp32 and without chunks, over those at full fidelity."""

    def kept(fidelity: Fidelity) -> float:
        seen = config.seen(fidelity)
        return seen.count * encoder_cost(config.encoder, config.view.channels, seen.clip).activation_bytes

    whole = kept("full")
    return {fidelity: kept(fidelity) / whole for fidelity in config.fidelities()}


def forecast_line(config: Config, videos: int | None) -> str:
    """One line for ``vidspec plan``. videos: of the training split, None while unknown."""
    bf16 = config.precision != "fp32"
    memory = memory_line(config, memories(config, bf16))
    schedule, fidelities = config.schedule, config.fidelities()
    passes = 3 if config.chunk is None else 4  # forward, backward (twice as much), and forward once more
    of_video = sum(_forward_flops(config, fidelity) for fidelity in fidelities) / len(fidelities)
    flops = passes * schedule.batch * of_video
    a_step = f"{flops / 1e12:.3g} TFLOP a step in the encoder"
    if videos is None:
        return f"{schedule.epochs} epochs in batches of {schedule.batch} videos, {a_step}; {memory}"
    steps = schedule.epochs * (videos // schedule.batch)
    hours = steps * flops / SUSTAINED_FLOPS / 3600
    return (
        f"{steps:,} steps, {a_step}, {hours:.2g} GPU-hours at an assumed {SUSTAINED_FLOPS / 1e12:.0f} TFLOP/s; {memory}"
    )


def _forward_flops(config: Config, fidelity: Fidelity) -> float:
    """Of all snippets of a video."""
    seen = config.seen(fidelity)
    return seen.count * encoder_cost(config.encoder, config.view.channels, seen.clip).forward_flops


def _optimiser_numbers(config: Config) -> int:
    """That the optimiser keeps for each weight."""
    schedule = config.schedule
    if schedule.optimizer == "sgd":
        return 1 if schedule.momentum else 0
    return 2
