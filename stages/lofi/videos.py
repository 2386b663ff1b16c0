"""Whole videos for end-to-end training: the snippets that an encoder is shown, and what the head is to say of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset

from engine.errors import UserError
from stages.lofi.schedule import fidelity_at
from stages.lofi.spec import Cycle, Fidelity
from stages.snippets.encode import snippet_frames
from stages.snippets.spec import Snippets
from stages.tal.head_spec import HeadLoss
from stages.tal.label_maps import label_maps
from stages.tal.loss import Targets, targets
from stages.video.augment import Augmentation, Recipe, draw
from stages.video.loader import Epochs
from stages.video.transforms import evaluation_clip, training_clip

if TYPE_CHECKING:
    from stages.tal.annotations import Annotations
    from stages.video.clips import Clips
    from stages.video.views import ViewReader

WHOLE = Recipe(area=(0.5, 1.0))
"""Crop and flip of a video. What moves may be at its edge, so less is cut off than where classes are told apart."""
AT_ONCE = 256
"""Frames in memory at full size at a time, while a video is read."""


def training_rows(clips: Clips, annotations: Annotations) -> NDArray[np.int64]:
    """Rows of the training videos in which something is annotated. Raises UserError when there are none."""
    train = clips.split("train")
    rows = np.array([row for row in train if annotations.instances[clips.paths[row]]], np.int64)
    if not len(rows):
        raise UserError(
            f"none of the {len(train)} videos of split 'train' has an annotated segment, so that there is nothing to "
            "learn: check the names of the subsets in the spec's data"
        )
    return rows


@dataclass(frozen=True)
class VideoParts(Dataset):
    """Part of a batch -> pixels of its videos' snippets, at the fidelity of its step; a function of (seed, part) alone.

    A step has ``parts`` parts of ``at_once`` videos, the last maybe fewer: part p of step s has number s * parts + p.
    at_fidelity: what is shown of a video at each. augmented: whether videos are cropped at random, else in the middle.
    """

    reader: ViewReader
    epochs: Epochs
    cycle: Cycle
    at_fidelity: Mapping[Fidelity, Snippets]
    at_once: int
    augmented: bool
    seed: int

    @property
    def parts(self) -> int:
        """Of a step."""
        return -(-self.epochs.batch // self.at_once)

    def __getitem__(self, number: int) -> Tensor:
        """uint8 [videos, L, C, T, size, size]."""
        step, part = divmod(number, self.parts)
        epoch, rows = self.epochs.at(step)
        rows = rows[part * self.at_once : (part + 1) * self.at_once]
        seen = self.at_fidelity[fidelity_at(self.cycle, step, self.epochs.steps)]
        return torch.stack([self._snippets(epoch, int(row), seen) for row in rows])

    def _snippets(self, epoch: int, row: int, seen: Snippets) -> Tensor:
        """uint8 [L, C, T, size, size]."""
        choices = draw(WHOLE, np.random.default_rng((self.seed, epoch, row))) if self.augmented else None
        numbers = snippet_frames(int(self.reader.clips.frames[row]), seen)
        used, places = np.unique(numbers, return_inverse=True)  # what snippets share is read and scaled once
        blocks = [
            self._scaled(self.reader.read(row, used[first : first + AT_ONCE]), choices, seen.size)
            for first in range(0, len(used), AT_ONCE)
        ]
        pictures = torch.cat(blocks, dim=1)
        return pictures[:, torch.from_numpy(places.reshape(numbers.shape))].transpose(0, 1).contiguous()

    def _scaled(self, frames: np.ndarray, choices: Augmentation | None, size: int) -> Tensor:
        if choices is None:
            return evaluation_clip(frames, size)
        return training_clip(frames, choices, size, self.reader.view)


def batch_targets(
    fractions: Sequence[NDArray[np.float64]],
    snippets: int,
    loss: HeadLoss,
    generator: torch.Generator,
    device: torch.device,
) -> Targets:
    """What the loss asks of a whole batch of videos, on ``device``.

    fractions: segments of each video as parts of it, [n, 2]. generator: on the CPU, so that all devices draw alike.
    """
    maps = [label_maps(segments, snippets) for segments in fractions]
    start, end, iou = (torch.from_numpy(np.stack(part)).to(device) for part in zip(*maps, strict=True))
    return targets(start, end, iou, loss, generator)
