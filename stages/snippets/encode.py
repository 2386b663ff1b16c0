"""Snippets of videos through frozen encoders."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset

from stages.features.frozen import Frozen
from stages.nn.encoders import VideoEncoder
from stages.snippets.spec import Snippets
from stages.tal.geometry import Grid
from stages.video.loader import Loader
from stages.video.transforms import evaluation_clip

if TYPE_CHECKING:
    from stages.video.views import ViewReader

AT_ONCE = 25
"""Snippets of a video in one forward pass at most. Fixed, and never of two videos: the size of a batch may change the
last bit of a feature, and so the features of a video are the same whatever other videos there are."""


@dataclass(frozen=True)
class SnippetPixels(Dataset):
    """Part of a video's snippets -> their pixels. Videos in the order of ``rows``, each in ``parts`` parts."""

    reader: ViewReader
    rows: NDArray[np.int64]
    snippets: Snippets

    @property
    def parts(self) -> int:
        """Forward passes of a video."""
        return -(-self.snippets.count // AT_ONCE)

    def __len__(self) -> int:
        return len(self.rows) * self.parts

    def __getitem__(self, step: int) -> Tensor:
        """uint8 [n, C, T, size, size], n <= AT_ONCE."""
        place, part = divmod(step, self.parts)
        row = int(self.rows[place])
        numbers = snippet_frames(int(self.reader.clips.frames[row]), self.snippets)
        numbers = numbers[part * AT_ONCE : (part + 1) * AT_ONCE]
        used, places = np.unique(numbers, return_inverse=True)  # what snippets share is read and scaled once
        pictures = evaluation_clip(self.reader.read(row, used), self.snippets.size)
        return pictures[:, torch.from_numpy(places.reshape(numbers.shape))].transpose(0, 1).contiguous()


def snippet_frames(frames_of_video: int, snippets: Snippets) -> NDArray[np.int64]:
    """Numbers of the frames of each snippet, [L, frames]."""
    # Where snippets lie does not depend on how long the video takes.
    return Grid(frames_of_video, 1.0, snippets.count, snippets.frames, snippets.stride).frame_numbers()


def encoded(
    pixels: SnippetPixels, frozen: Frozen, loader: Loader, steps: Iterator[int] | Sequence[int]
) -> Iterator[tuple[int, NDArray[np.float32]]]:
    """Row and features, float32 [encoders, L, D], of one video after another. steps: places in ``pixels.rows``."""
    for place in steps:
        parts = [frozen(loader[place * pixels.parts + part]).cpu() for part in range(pixels.parts)]
        yield int(pixels.rows[place]), torch.cat(parts, dim=1).numpy()


def weights_digest(encoder: VideoEncoder) -> str:
    """Digest of an encoder's weights: names, types, shapes and values. Where they came from does not count."""
    hasher = hashlib.blake2b(digest_size=16)
    for name, values in sorted(encoder.body.state_dict().items()):
        array = values.detach().cpu().contiguous()
        hasher.update(f"{name} {array.dtype} {tuple(array.shape)}\n".encode())
        hasher.update(array.reshape(-1).view(torch.uint8).numpy())
    return hasher.hexdigest()
