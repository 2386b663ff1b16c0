"""Where seconds, frames and snippets meet: where the snippets of a video lie, and what times they stand for."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Grid:
    """A video of ``frames_of_video`` frames and ``duration`` seconds as ``snippets`` snippets, evenly spread.

    Snippet i has ``frames`` frames, every ``stride``-th, around frame (i + 1/2) N / L - 1/2; for those that would lie
    outside the video its first or last frame stands in. It represents cell i, [i, i + 1) D / L seconds, however many
    frames it looks at: in short videos snippets overlap, in long ones they leave frames out. (LoFi, section 3.3, says
    nothing of where snippets lie; this is what OpenTAD does.)

    duration: the video's length in the clock of the annotations, see ``stages.tal.durations``; N frames fill it evenly.
    Raises ValueError for a video without frames or duration, or a snippet without frames.
    """

    frames_of_video: int
    duration: float
    snippets: int
    frames: int
    stride: int = 1

    def __post_init__(self) -> None:
        counts = (self.frames_of_video, self.snippets, self.frames, self.stride)
        if min(counts) < 1:
            raise ValueError(f"frames, snippets and stride must be at least 1, not {counts}")
        if not (math.isfinite(self.duration) and self.duration > 0):
            raise ValueError(f"duration must be positive and finite, not {self.duration}")

    @property
    def span(self) -> int:
        """Frames of the video from a snippet's first to its last."""
        return (self.frames - 1) * self.stride + 1

    def centres(self) -> NDArray[np.float64]:
        """Middle of each snippet in frames, [L]; frame n reaches from n - 1/2 to n + 1/2."""
        return (np.arange(self.snippets) + 0.5) * self.frames_of_video / self.snippets - 0.5

    def frame_numbers(self) -> NDArray[np.int64]:
        """Numbers of the frames of each snippet, [L, frames], within the video.

        A snippet's first frame is the centre minus half its span, rounded to the nearest, up in the middle. In whole
        numbers, so that no rounding error of floats moves a snippet on another machine.
        """
        doubled = (2 * np.arange(self.snippets, dtype=np.int64) + 1) * self.frames_of_video
        first = (doubled - (self.span - 1) * self.snippets) // (2 * self.snippets)
        numbers = first[:, None] + np.arange(self.frames, dtype=np.int64) * self.stride
        return np.clip(numbers, 0, self.frames_of_video - 1)
