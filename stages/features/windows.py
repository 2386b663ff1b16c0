"""The clips of each video that a trained network is shown, in batches, and the mean over them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset

from stages.features.spec import Look
from stages.video.crops import CENTRE, EvaluationCrop
from stages.video.sampling import frame_numbers, window_starts
from stages.video.spec import Clip
from stages.video.transforms import evaluation_clip, mirrored

if TYPE_CHECKING:
    from stages.video.views import ViewReader

BATCH = 32
"""Clips in a batch; fixed, since the size of a batch may change the last bit of a feature."""

MOST_STEPS = 2000
"""Batches are put together to at most so many steps: the more there is to save, the less often it is saved."""


def steps_of(batches: int) -> list[range]:
    """The batches of each step of a long evaluation, in order."""
    together = max(1, -(-batches // MOST_STEPS))
    return [range(first, min(first + together, batches)) for first in range(0, batches, together)]


def starts(frames: int, clip: Clip, windows: int | str) -> NDArray[np.int64]:
    """Starts of the windows of a video of ``frames`` frames, each once, rising: int64 [at least 1]."""
    if windows == "half_overlap":
        step = max(1, clip.frames // 2 - 1) * clip.stride
        return np.arange(0, max(frames - clip.span, 0) + 1, step, dtype=np.int64)
    return np.unique(window_starts(frames, clip, int(windows)))


@dataclass(frozen=True)
class WindowBatches(Dataset):
    """Batches of the clips of the videos in ``rows``, always in the same order and of the same sizes.

    A clip is a window of a video, cut out of the picture by one of ``crops``: video by video, window by window, crop by
    crop.
    """

    reader: ViewReader
    rows: NDArray[np.int64]
    look: Look
    crops: tuple[EvaluationCrop, ...]
    videos: NDArray[np.int64]
    """[windows]: which of ``rows`` each window is of."""
    starts: NDArray[np.int64]

    @classmethod
    def of(
        cls,
        reader: ViewReader,
        rows: NDArray[np.int64],
        look: Look,
        crops: tuple[EvaluationCrop, ...] = CENTRE,
    ) -> WindowBatches:
        """All windows of the videos in ``rows``, one at least of each."""
        each = [starts(int(reader.clips.frames[row]), look.clip, look.windows) for row in rows]
        videos = np.repeat(np.arange(len(rows)), [len(s) for s in each])
        return cls(reader, rows, look, crops, videos, np.concatenate(each) if each else np.zeros(0, np.int64))

    @property
    def clips(self) -> int:
        """Number of clips in all."""
        return len(self.videos) * len(self.crops)

    def __len__(self) -> int:
        return -(-self.clips // BATCH)

    def __getitem__(self, batch: int) -> tuple[Tensor, Tensor]:
        """Pixels, uint8 [B, C, T, size, size], and which of ``rows`` each clip is of, int64 [B]."""
        clips = np.arange(batch * BATCH, min((batch + 1) * BATCH, self.clips))
        windows, crops = np.divmod(clips, len(self.crops))
        videos, first = self.videos[windows], self.starts[windows]
        pixels = [
            self._read(self.rows[video], first[videos == video], crops[videos == video])
            for video in np.unique(videos)
        ]
        return torch.cat(pixels), torch.from_numpy(videos)

    def _read(self, row: int, first: NDArray[np.int64], crops: NDArray[np.int64]) -> Tensor:
        """Clips of one video by start and crop, both [B]: uint8 [B, C, T, size, size].

        What they share is read and scaled once.
        """
        frames = int(self.reader.clips.frames[row])
        numbers = np.stack([frame_numbers(int(start), frames, self.look.clip) for start in first])
        used, places = np.unique(numbers, return_inverse=True)
        pictures = self.reader.read(int(row), used)
        chosen, size = [self.crops[crop] for crop in crops], self.look.clip.size
        squares = {crop.square for crop in chosen}
        scaled = {square: evaluation_clip(square.cut(pictures), size) for square in squares}
        clips = []
        for crop, place in zip(chosen, torch.from_numpy(places.reshape(numbers.shape))):
            clip = scaled[crop.square][:, place]
            clips.append(mirrored(clip, self.reader.view) if crop.mirrored else clip)
        return torch.stack(clips)


class VideoMeans:
    """Mean over the windows of each video, for several networks at once; goes on after a kill (``state_dict``)."""

    def __init__(self, networks: int, videos: int, width: int) -> None:
        self.sums = torch.zeros(networks, videos, width, dtype=torch.float64)
        self.counts = torch.zeros(videos, dtype=torch.int64)

    def add(self, values: Tensor, videos: Tensor) -> None:
        """values: [networks, B, width] of the windows whose videos are ``videos`` [B]."""
        self.sums.index_add_(1, videos, values.detach().to("cpu", torch.float64))
        self.counts.index_add_(0, videos, torch.ones_like(videos))

    def means(self) -> NDArray[np.float64]:
        """[networks, videos, width]; zero for a video without windows."""
        return (self.sums / self.counts.clamp(min=1)[:, None]).numpy()

    def state_dict(self) -> dict[str, Any]:
        return {"sums": self.sums, "counts": self.counts}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.sums.copy_(state["sums"])
        self.counts.copy_(state["counts"])
