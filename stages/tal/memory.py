"""How much memory one step of end-to-end localisation takes, by the fidelity of its input, and what fits a budget.

LoFi (Xu et al., NeurIPS 2021), section 3.2: an encoder of snippets and a head on top are trained together on L / r_t
snippets of H / r_s x W / r_s pixels. Everything is found from shapes; ``stages.nn.activations`` says what is not seen.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from math import sqrt
from typing import TYPE_CHECKING

from engine.errors import UserError
from stages.nn.spec import Encoder, untrained
from stages.tal.head_spec import Head

if TYPE_CHECKING:
    from torch import Tensor, nn

USABLE = 0.9
"""Share of a budget that is planned for; the rest is for all that is not seen (workspaces, the allocator): assumed."""


def fidelities(factor: float) -> dict[str, tuple[float, float]]:
    """The three ways to ``factor`` times less input, as (r_s, r_t): S by pixels, T by snippets, ST by both alike.

    With the paper's factor 4: S (2, 1), T (1, 4), ST (sqrt 2, 2). With factor 1: full fidelity alone.
    """
    if factor == 1:
        return {"full": (1.0, 1.0)}
    return {"S": (sqrt(factor), 1.0), "T": (1.0, factor), "ST": (factor**0.25, sqrt(factor))}


@dataclass(frozen=True)
class Load:
    """What one device works on at a time: videos, their snippets, frames of a snippet, and pixels of a side."""

    videos: int
    snippets: int = 100
    frames: int = 8
    side: int = 224
    channels: int = 3

    @property
    def clips(self) -> int:
        """Snippets of all videos."""
        return self.videos * self.snippets

    @property
    def clip_bytes(self) -> int:
        """Of all snippets, normalised, in fp32."""
        return 4 * self.clips * self.channels * self.frames * self.side**2

    def reduced(self, r_s: float, r_t: float) -> Load:
        """The load at lower fidelity: side / r_s and snippets / r_t, to the nearest whole number, 1 at least."""
        return replace(self, side=max(1, round(self.side / r_s)), snippets=max(1, round(self.snippets / r_t)))


@dataclass(frozen=True)
class Pass:
    """A forward and backward pass: bytes kept between the two, the most that there are at any time, and parameters."""

    kept: int
    peak: int
    parameters: int


@dataclass(frozen=True)
class Memory:
    """Bytes of one step. ``encoder`` and ``head`` are the most that each takes at a time, with what it keeps."""

    weights: int
    clips: int
    features: int
    encoder_kept: int
    encoder: int
    head: int

    @property
    def peak(self) -> int:
        """The encoder waits with what it keeps while the head runs; when its own backward pass comes, the head is done.

        The head's part has the gradient of the features in it, with which the encoder's pass begins.
        """
        then = max(self.encoder_kept + self.head, self.features + self.encoder)
        return self.weights + self.clips + self.features + then

    def line(self) -> str:
        """For people, in GB of 10^9 bytes."""
        parts = {"weights": self.weights, "clips": self.clips, "encoder": self.encoder, "head": self.head}
        named = ", ".join(f"{name} {size / 1e9:.2g}" for name, size in parts.items())
        return f"{self.peak / 1e9:.3g} GB at the peak ({named})"


def step_memory(
    encoder: Encoder,
    load: Load,
    chunk: int | None = None,
    head: Head = Head(),
    bf16: bool = False,
    optimiser_numbers: int = 0,
) -> Memory:
    """Memory of one training step of encoder and head with frozen BatchNorm.

    chunk: clips that are encoded at a time, see ``stages.nn.chunked``.
    optimiser_numbers: that it keeps for each weight; SGD 0, with momentum 1, Adam 2.
    Gradients of the weights are counted from the start, as when they are accumulated over several loads.
    """
    clips = load.clips if chunk is None else min(load.clips, 2 * chunk)  # from two chunks on, gradients add up
    below, features = _encoder_pass(untrained(encoder), load.channels, load.frames, load.side, clips, chunk, bf16)
    above = _head_pass(head, features, load.videos, load.snippets, bf16)
    return Memory(
        weights=4 * (below.parameters + above.parameters) * (2 + optimiser_numbers),
        clips=load.clip_bytes,
        features=4 * features * load.clips,
        encoder_kept=below.kept,
        encoder=below.peak,
        head=above.peak,
    )


@dataclass(frozen=True)
class Proposal:
    """A way to stay within a budget: every configuration of a cycle fits, encoded ``chunk`` snippets at a time."""

    factor: float
    chunk: int | None
    fidelities: Mapping[str, tuple[float, float]]
    memory: Mapping[str, Memory]

    @property
    def work(self) -> float:
        """Of the encoder, relative to full fidelity at once. Forward 1 and backward 2; chunks cost another forward."""
        return (1 if self.chunk is None else 4 / 3) / self.factor

    def lines(self) -> list[str]:
        """For people: one line a configuration."""
        way = "all snippets at once" if self.chunk is None else f"{self.chunk} snippets at a time"
        return [
            f"{name} (r_s {r_s:.3g}, r_t {r_t:.3g}), {way}: {self.memory[name].line()}, encoder work x {self.work:.2g}"
            for name, (r_s, r_t) in self.fidelities.items()
        ]


def propose(
    encoder: Encoder,
    full: Load,
    budget_gb: float,
    head: Head = Head(),
    bf16: bool = False,
    optimiser_numbers: int = 0,
    may_chunk: bool = True,
    factors: Sequence[float] = (1, 4, 8, 16),
) -> tuple[Proposal, ...]:
    """For each of ``factors`` less input, the fastest way that fits: all snippets at once, else the largest chunk.

    may_chunk: False while BatchNorm is not frozen, which chunks need. The others are those of ``step_memory``.
    Raises UserError when not even the last factor fits.
    """
    room = USABLE * budget_gb * 1e9

    def memory(factor: float, chunk: int | None) -> dict[str, Memory]:
        return {
            name: step_memory(encoder, full.reduced(*by), chunk, head, bf16, optimiser_numbers)
            for name, by in fidelities(factor).items()
        }

    def peak(factor: float, chunk: int | None) -> int:
        return max(found.peak for found in memory(factor, chunk).values())

    def largest(factor: float) -> int | None:
        """0 where nothing fits."""
        if peak(factor, None) <= room:
            return None
        sizes = [2**power for power in range(full.clips.bit_length())] if may_chunk else []
        return (0, *sizes)[bisect_right(sizes, room, key=lambda chunk: peak(factor, chunk))]

    chunks = {factor: largest(factor) for factor in factors}
    found = tuple(
        Proposal(factor, chunk, fidelities(factor), memory(factor, chunk))
        for factor, chunk in chunks.items()
        if chunk != 0
    )
    if not found:
        least = min(peak(factor, 1 if may_chunk else None) for factor in factors) / USABLE / 1e9
        raise UserError(
            f"nothing fits a budget of {budget_gb:g} GB: {full.videos} videos of {full.snippets} snippets need "
            f"{least:.3g} GB at the lowest fidelity tried. Take fewer videos at a time and accumulate gradients, or "
            + ("a smaller encoder" if may_chunk else "freeze BatchNorm, so that snippets can be encoded in chunks")
        )
    return found


@cache
def _encoder_pass(
    encoder: Encoder, channels: int, frames: int, side: int, clips: int, chunk: int | None, bf16: bool
) -> tuple[Pass, int]:
    """The pass of so many clips, and the width of their features."""
    import torch

    from stages.nn.activations import shapes_only
    from stages.nn.chunked import chunked
    from stages.nn.encoders import build_encoder
    from stages.nn.frozen_norm import freeze_norms

    with shapes_only():
        network = build_encoder(encoder, channels, seed=0)
        freeze_norms(network)
        pixels = torch.empty(clips, channels, frames, side, side)
        found = _measured(network, lambda: [chunked(network, pixels, chunk)], pixels, bf16)
    return found, network.features


@cache
def _head_pass(head: Head, width: int, videos: int, snippets: int, bf16: bool) -> Pass:
    import torch
    from torch.utils._pytree import tree_leaves

    from stages.nn.activations import shapes_only
    from stages.tal.gtad import Gtad

    with shapes_only():
        network = Gtad(width, head)
        features = torch.empty(videos, width, snippets, requires_grad=True)
        return _measured(network, lambda: tree_leaves(network(features)), features, bf16)


def _measured(network: nn.Module, forward: Callable[[], list[Tensor]], given: Tensor, bf16: bool) -> Pass:
    """Run ``forward``, and back from its squared results. Weights, their gradients and ``given`` are not counted."""
    import torch

    from stages.nn.activations import kept_bytes, peak_bytes

    for weight in network.parameters():
        weight.grad = torch.empty_like(weight)

    def run() -> list[Tensor]:
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=bf16):
            return forward()

    def step() -> None:
        results = run()  # held, as by a caller
        sum(result.float().square().sum() for result in results).backward()

    kept = kept_bytes(run, [given, *network.parameters(), *network.buffers()])
    return Pass(kept, peak_bytes(step), sum(weight.numel() for weight in network.parameters()))
