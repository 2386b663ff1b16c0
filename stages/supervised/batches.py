"""Augmented clips from stretches of videos, in batches that are a function of the step alone."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from stages.supervised.stretches import Stretches
from stages.video.augment import LIGHT, draw
from stages.video.loader import Epochs
from stages.video.sampling import frame_numbers, random_start
from stages.video.spec import Clip
from stages.video.transforms import training_clip

if TYPE_CHECKING:
    from stages.video.views import ViewReader


class LabelledClips(NamedTuple):
    """clips: uint8 [B, C, T, size, size], cropped and flipped; labels: int64 [B]."""

    clips: Tensor
    labels: Tensor

    def pin_memory(self) -> LabelledClips:
        return LabelledClips(self.clips.pin_memory(), self.labels.pin_memory())


@dataclass(frozen=True)
class StretchBatches(Dataset):
    """Step -> LabelledClips: one random clip of each stretch an epoch, by what (seed, epoch, stretch) says.

    ``epochs`` numbers the stretches. A stretch shorter than a clip is filled as ``clip.pad`` says, from itself alone.
    """

    reader: ViewReader
    clip: Clip
    stretches: Stretches
    epochs: Epochs
    seed: int

    def __getitem__(self, step: int) -> LabelledClips:
        epoch, places = self.epochs.at(step)
        clips = torch.stack([self._clip(epoch, int(place)) for place in places])
        return LabelledClips(clips, torch.from_numpy(self.stretches.target[places]))

    def frames(self, epoch: int, place: int) -> np.ndarray:
        """Numbers of the frames that are shown of a stretch, int64 [clip.frames]."""
        return self._frames(place, self._rng(epoch, place))

    def _clip(self, epoch: int, place: int) -> Tensor:
        rng = self._rng(epoch, place)
        numbers = self._frames(place, rng)
        frames = self.reader.read(int(self.stretches.row[place]), numbers)
        return training_clip(frames, draw(LIGHT, rng), self.clip.size, self.reader.view)

    def _frames(self, place: int, rng: np.random.Generator) -> np.ndarray:
        length = int(self.stretches.length[place])
        return int(self.stretches.first[place]) + frame_numbers(random_start(length, self.clip, rng), length, self.clip)

    def _rng(self, epoch: int, place: int) -> np.random.Generator:
        return np.random.default_rng((self.seed, epoch, place))
