"""Batches of clips and their masks: a function of the step alone, whichever process makes them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from stages.maskfeat.masks import draw_mask
from stages.maskfeat.target_spec import Grid, Mask
from stages.maskfeat.targets import mask_on_grid
from stages.video.augment import Recipe, draw
from stages.video.loader import Epochs
from stages.video.sampling import frame_numbers, random_start
from stages.video.spec import Clip
from stages.video.transforms import training_clip

if TYPE_CHECKING:
    from stages.video.views import ViewReader


class MaskedBatch(NamedTuple):
    """clips: uint8 [N, 3, T, size, size]; mask: bool [N, t, y, x]; hidden: int64 [M], numbers of the hidden tokens."""

    clips: Tensor
    mask: Tensor
    hidden: Tensor

    def pin_memory(self) -> MaskedBatch:
        return MaskedBatch(*(part.pin_memory() for part in self))

    def to(self, device: torch.device) -> MaskedBatch:
        return MaskedBatch(*(part.to(device, non_blocking=True) for part in self))

    def split(self, clips: int, tokens: int) -> Iterator[MaskedBatch]:
        """Batches of so many clips each, the last of what is left. tokens: of a clip."""
        for first in range(0, len(self.clips), clips):
            part = slice(first, first + clips)
            inside = (self.hidden >= first * tokens) & (self.hidden < (first + clips) * tokens)
            yield MaskedBatch(self.clips[part], self.mask[part], self.hidden[inside] - first * tokens)


@dataclass(frozen=True)
class MaskedBatches(Dataset):
    """Step -> MaskedBatch: one random clip of each video an epoch, all by what (seed, epoch, video) says.

    grid: of the tokens that are predicted; area: of random crops.
    """

    reader: ViewReader
    clip: Clip
    epochs: Epochs
    mask: Mask
    grid: Grid
    area: tuple[float, float]
    seed: int

    def __getitem__(self, step: int) -> MaskedBatch:
        epoch, rows = self.epochs.at(step)
        samples = [self._sample(epoch, int(row)) for row in rows]
        clips = torch.stack([clip for clip, _ in samples])
        return masked(clips, np.stack([mask for _, mask in samples]), self.grid)

    def _sample(self, epoch: int, row: int) -> tuple[Tensor, np.ndarray]:
        rng = np.random.default_rng((self.seed, epoch, row))
        frames = int(self.reader.clips.frames[row])
        numbers = frame_numbers(random_start(frames, self.clip, rng), frames, self.clip)
        choices = draw(Recipe(area=self.area), rng)
        clip = training_clip(self.reader.read(row, numbers), choices, self.clip.size, self.reader.view)
        return clip, draw_mask(self.mask, self.mask.grid(self.clip.frames, self.clip.size), rng)


def masked(clips: Tensor, masks: np.ndarray, grid: Grid) -> MaskedBatch:
    """clips: uint8 [N, 3, T, H, W]; masks: bool [N, t, y, x] of the clips, on a grid that divides ``grid``."""
    mask = torch.from_numpy(masks)
    return MaskedBatch(clips, mask, mask_on_grid(mask, grid).flatten().nonzero().squeeze(1))
