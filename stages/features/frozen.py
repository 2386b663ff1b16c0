"""Trained encoders that only look: in eval mode, without gradients, one for each seed of a model."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Sequence

import torch
from torch import Tensor

from engine.errors import UserError
from stages.features.spec import Look
from stages.nn.encoders import VideoEncoder
from stages.nn.precision import Numbers, numbers
from stages.nn.weights import load_encoder
from stages.video.spec import Clip, View
from stages.video.transforms import normalise

if TYPE_CHECKING:
    from engine.run.context import Context


@dataclass(frozen=True)
class Frozen:
    """The encoders of a model, by seed, on the device. ``folders``: where each comes from."""

    encoders: tuple[VideoEncoder, ...]
    folders: tuple[Path, ...]
    view: View
    numbers: Numbers

    @property
    def width(self) -> int:
        """Width of a feature."""
        return self.encoders[0].features

    @torch.no_grad()
    def __call__(self, pixels: Tensor) -> Tensor:
        """pixels: clips of the view [B, C, T, H, W], uint8 or float in [0, 1]. Returns features [encoders, B, width], float32."""
        clips = self.numbers.lay_out(normalise(pixels.to(self.numbers.device, non_blocking=True), self.view))
        with self.numbers.autocast():
            return torch.stack([encoder(clips).float() for encoder in self.encoders])


def load_frozen(folders: Sequence[Path], look: Look, context: Context) -> Frozen:
    """Open the encoders in ``folders``. Raises UserError when they do not encode the same view at the same width."""
    loaded = [load_encoder(folder) for folder in folders]
    view, clip = loaded[0][1].view, loaded[0][1].clip
    for folder, (encoder, card) in zip(folders, loaded):
        if card.view != view or encoder.features != loaded[0][0].features:
            raise UserError(
                f"{folder} and {folders[0]} hold encoders of different kinds, where seeds of one model are expected"
            )
    if (clip.frames, clip.stride, clip.size) != (look.clip.frames, look.clip.stride, look.clip.size):
        context.say(f"trained on {_words(clip)}, measured on {_words(look.clip)}")
    computing = numbers(look.precision, context.device)
    encoders = tuple(computing.place(encoder.eval().requires_grad_(False)) for encoder, _ in loaded)
    return Frozen(encoders, tuple(folders), view, computing)


def _words(clip: Clip) -> str:
    return f"{clip.frames} frames at stride {clip.stride} and {clip.size} pixels"
