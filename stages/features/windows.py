"""The clips of each video that a frozen network sees, in batches, and the mean over them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset

from stages.features.spec import Look
from stages.video.sampling import frame_numbers, window_starts
from stages.video.spec import Clip
from stages.video.transforms import evaluation_clip

if TYPE_CHECKING:
    from stages.video.views import ViewReader

BATCH = 32
"""Windows in a batch; fixed, since the size of a batch may change the last bit of a feature."""


def starts(frames: int, clip: Clip, windows: int | str) -> NDArray[np.int64]:
    """Starts of the windows of a video of ``frames`` frames, each once, rising: int64 [at least 1]."""
    if windows == "half_overlap":
        step = max(1, clip.frames // 2 - 1) * clip.stride
        return np.arange(0, max(frames - clip.span, 0) + 1, step, dtype=np.int64)
    return np.unique(window_starts(frames, clip, int(windows)))


@dataclass(frozen=True)
class WindowBatches(Dataset):
    """Batches of windows of the videos in ``rows``, video by video, always in the same order and the same sizes."""

    reader: ViewReader
    rows: NDArray[np.int64]
    look: Look
    videos: NDArray[np.int64]
    """[windows]: which of ``rows`` each window is of."""
    starts: NDArray[np.int64]

    @classmethod
    def of(cls, reader: ViewReader, rows: NDArray[np.int64], look: Look) -> WindowBatches:
        """All windows of the videos in ``rows``."""
        each = [starts(int(reader.clips.frames[row]), look.clip, look.windows) for row in rows]
        videos = np.repeat(np.arange(len(rows)), [len(s) for s in each])
        return cls(reader, rows, look, videos, np.concatenate(each) if each else np.zeros(0, np.int64))

    def __len__(self) -> int:
        return -(-len(self.videos) // BATCH)

    def __getitem__(self, batch: int) -> tuple[Tensor, Tensor]:
        """Pixels, uint8 [B, C, T, size, size], and which of ``rows`` each window is of, int64 [B]."""
        part = slice(batch * BATCH, (batch + 1) * BATCH)
        videos, first = self.videos[part], self.starts[part]
        pixels = [self._read(self.rows[video], first[videos == video]) for video in np.unique(videos)]
        return torch.cat(pixels), torch.from_numpy(videos)

    def _read(self, row: int, first: NDArray[np.int64]) -> Tensor:
        """Windows of one video, uint8 [len(first), C, T, size, size]; frames that they share are read once."""
        frames = int(self.reader.clips.frames[row])
        numbers = np.stack([frame_numbers(int(start), frames, self.look.clip) for start in first])
        used, places = np.unique(numbers, return_inverse=True)
        pixels = evaluation_clip(self.reader.read(int(row), used), self.look.clip.size)
        return pixels[:, torch.from_numpy(places.reshape(numbers.shape))].transpose(0, 1)


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
