"""Batches of videos for a head: features and what it is to say of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset

from stages.localization.videos import TrainingVideos
from stages.snippets.index import SnippetReader
from stages.tal.label_maps import label_maps
from stages.video.loader import Epochs


class HeadBatch(NamedTuple):
    """B videos. features: float32 [B, D, L]; start and end: [B, L]; iou: [B, L, L], see ``label_maps``."""

    features: Tensor
    start: Tensor
    end: Tensor
    iou: Tensor

    def to(self, device: torch.device) -> HeadBatch:
        """The same on ``device``."""
        return HeadBatch(*(part.to(device, non_blocking=True) for part in self))


@dataclass(frozen=True)
class HeadBatches(Dataset):
    """Step -> HeadBatch. ``epochs`` numbers the videos of ``videos``."""

    reader: SnippetReader
    videos: TrainingVideos
    epochs: Epochs

    def __getitem__(self, step: int) -> HeadBatch:
        return head_batch(self.reader, self.videos, self.epochs.at(step)[1])


def head_batch(reader: SnippetReader, videos: TrainingVideos, numbers: NDArray[np.int64]) -> HeadBatch:
    """The batch of some of ``videos`` by their numbers among them."""
    features = np.stack([reader.read(int(videos.rows[number])) for number in numbers])
    maps = [label_maps(videos.fractions[number], features.shape[1]) for number in numbers]
    start, end, iou = (torch.from_numpy(np.stack(part)) for part in zip(*maps, strict=True))
    return HeadBatch(torch.from_numpy(features).transpose(1, 2).contiguous(), start, end, iou)
