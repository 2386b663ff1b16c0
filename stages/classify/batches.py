"""Augmented training batches of a classifier: a function of the step alone, whichever process makes them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from stages.classify.distort import erase, rand_augment
from stages.classify.spec import Augmentation, Jitter
from stages.video.augment import Colour, Recipe, draw
from stages.video.loader import Epochs
from stages.video.sampling import frame_numbers, random_start
from stages.video.spec import Clip
from stages.video.transforms import recoloured, statistics, training_clip

if TYPE_CHECKING:
    from stages.video.views import ViewReader

@dataclass(frozen=True)
class TrainBatches(Dataset):
    """Step -> batch: random clips of each video an epoch, augmented by what (seed, epoch, video) says.

    ``augmentation.repeats`` clips of each; first one of every video, then the second ones, and so on.
    """

    reader: ViewReader
    clip: Clip
    epochs: Epochs
    seed: int
    augmentation: Augmentation = Augmentation()

    def __getitem__(self, step: int) -> tuple[Tensor, list[Colour], Tensor]:
        """Pixels, cropped and flipped, uint8 [B, C, T, size, size]; colour changes still to come; rows, int64 [B]."""
        epoch, rows = self.epochs.at(step)
        samples = [
            self._sample(epoch, int(row), repeat) for repeat in range(self.augmentation.repeats) for row in rows
        ]
        return (
            torch.stack([pixels for pixels, _ in samples]),
            [colour for _, colour in samples],
            torch.from_numpy(np.tile(rows, self.augmentation.repeats)),
        )

    def _sample(self, epoch: int, row: int, repeat: int) -> tuple[Tensor, Colour]:
        rng = np.random.default_rng((self.seed, epoch, row, repeat) if repeat else (self.seed, epoch, row))
        frames = int(self.reader.clips.frames[row])
        numbers = frame_numbers(random_start(frames, self.clip, rng), frames, self.clip)
        how = self.augmentation
        jitter = how.colours.share if isinstance(how.colours, Jitter) else 0.0
        choices = draw(Recipe(area=how.area, jitter_share=jitter), rng)
        pixels = training_clip(self.reader.read(row, numbers), choices, self.clip.size, self.reader.view)
        if not isinstance(how.colours, Jitter):
            pixels = rand_augment(pixels, how.colours, statistics(self.reader.view), rng)
        if rng.random() < how.erase_share:
            pixels = erase(pixels, statistics(self.reader.view), rng)
        return pixels, choices.colour if recoloured(self.reader.view) else Colour()
