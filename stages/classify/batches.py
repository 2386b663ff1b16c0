"""Augmented training batches of a classifier: a function of the step alone, whichever process makes them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from stages.video.augment import Colour, Recipe, draw
from stages.video.loader import Epochs
from stages.video.sampling import frame_numbers, random_start
from stages.video.spec import Clip
from stages.video.transforms import recoloured, training_clip

if TYPE_CHECKING:
    from stages.video.views import ViewReader

RECIPE = Recipe(jitter_share=0.3)
"""Random resized crop, flip, and colour jitter for three clips in ten (sheet section 3.3)."""


@dataclass(frozen=True)
class TrainBatches(Dataset):
    """Step -> batch: one random clip of each video an epoch, augmented by what (seed, epoch, video) says."""

    reader: ViewReader
    clip: Clip
    epochs: Epochs
    seed: int

    def __getitem__(self, step: int) -> tuple[Tensor, list[Colour], Tensor]:
        """Pixels, cropped and flipped, uint8 [B, C, T, size, size]; colour changes still to come; rows, int64 [B]."""
        epoch, rows = self.epochs.at(step)
        samples = [self._sample(epoch, int(row)) for row in rows]
        return (
            torch.stack([pixels for pixels, _ in samples]),
            [colour for _, colour in samples],
            torch.from_numpy(rows),
        )

    def _sample(self, epoch: int, row: int) -> tuple[Tensor, Colour]:
        rng = np.random.default_rng((self.seed, epoch, row))
        frames = int(self.reader.clips.frames[row])
        numbers = frame_numbers(random_start(frames, self.clip, rng), frames, self.clip)
        choices = draw(RECIPE, rng)
        pixels = training_clip(self.reader.read(row, numbers), choices, self.clip.size, self.reader.view)
        return pixels, choices.colour if recoloured(self.reader.view) else Colour()
