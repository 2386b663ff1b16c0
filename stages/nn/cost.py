"""What a training will cost: arithmetic and memory of one clip, found without computing anything (on torch's meta device)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from stages.nn.spec import Encoder, Schedule, untrained
from stages.video.spec import Clip, View

SUSTAINED_FLOPS = 40e12
"""Floating-point operations a second that estimates assume of one data-centre GPU training a 3D network in bf16: an assumption."""


@dataclass(frozen=True)
class EncoderCost:
    """Of one clip: operations of a forward pass (a multiply-add counts as two) and bytes that it keeps for the backward pass in
    fp32; and the number of parameters."""

    forward_flops: float
    activation_bytes: float
    parameters: int


@cache
def encoder_cost(encoder: Encoder, channels: int, clip: Clip) -> EncoderCost:
    """Run one clip through the network on the meta device, which knows shapes only. Takes about a second."""
    import torch
    from torch.utils.flop_counter import FlopCounterMode

    from stages.nn.activations import kept_bytes
    from stages.nn.encoders import build_encoder

    with torch.device("meta"):
        network = build_encoder(untrained(encoder), channels, seed=0)
        pixels = torch.empty(2, channels, clip.frames, clip.size, clip.size)  # batch norm wants more than one value
    with FlopCounterMode(display=False) as counter:
        activations = kept_bytes(lambda: network(pixels), network.parameters())
    return EncoderCost(counter.get_total_flops() / 2, activations / 2, sum(p.numel() for p in network.parameters()))


def training_line(
    cost: EncoderCost,
    steps: int | None,
    epochs: int,
    batch: int,
    passes: float,
    bf16: bool,
    at_once: int | None = None,
    waiting: int = 0,
) -> str:
    """One line for ``vidspec plan``.

    at_once: clips of the batch that the network is given together, by default all. waiting: bytes of the batch itself.
    steps: of the whole training, None while the number of videos is not known. passes: forward passes that one clip of
    the batch costs in all, a backward pass counting as two. Weights, gradients, optimiser and slow copy take 20 bytes a
    parameter.
    """
    memory = (at_once or batch) * cost.activation_bytes * (0.5 if bf16 else 1) + 20 * cost.parameters + waiting
    flops = batch * cost.forward_flops * passes
    a_step = f"{flops / 1e12:.3g} TFLOP a step, {memory / 1e9:.2g} GB of GPU memory"
    if steps is None:
        return f"{epochs} epochs in batches of {batch}, {a_step}; steps are known once the videos are listed"
    hours = steps * flops / SUSTAINED_FLOPS / 3600
    return f"{steps:,} steps, {a_step}, {hours:.2g} GPU-hours at an assumed {SUSTAINED_FLOPS / 1e12:.0f} TFLOP/s"


def training_forecast(
    encoder: Encoder,
    view: View,
    clip: Clip,
    schedule: Schedule,
    precision: str,
    passes: float,
    clips_folder: Path | None,
    expected: Mapping[str, int],
    repeats: int = 1,
    held_as: int = 1,
) -> str:
    """The line for a training of one encoder on the ``train`` split: of the clips that are there, else as many as expected.

    repeats: clips of each video in a batch. held_as: bytes that a value of the whole batch takes; 1 as it is loaded.
    """
    videos = train_videos(clips_folder) if clips_folder else expected.get("train")
    steps = None if videos is None else schedule.epochs * (videos // schedule.batch)
    cost = encoder_cost(encoder, view.channels, clip)
    clips = schedule.batch * repeats
    waiting = held_as * clips * view.channels * clip.frames * clip.size**2
    bf16, at_once = precision != "fp32", schedule.at_once(clips)
    return training_line(cost, steps, schedule.epochs, clips, passes, bf16, at_once, waiting)


def train_videos(clips_folder: Path) -> int:
    """Videos of the ``train`` split in the output of a clips stage."""
    import pyarrow.compute as pc
    import pyarrow.parquet as pq

    return pc.sum(pc.equal(pq.read_table(clips_folder / "clips.parquet", columns=["split"])["split"], "train")).as_py() or 0
