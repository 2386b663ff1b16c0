"""Claim: colour augmentation of a batch is at least 1.5 times as fast as torchvision's functions clip by clip, on one core.

    python benchmarks/augment.py

Prints one JSON line with the times of 32 clips of 8 x 64 x 64, all strongly augmented, and the ratio; then the time at
the shares of a training (two clips in five are strong).
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Callable

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import numpy as np
import torch
from torch import Tensor
from torchvision.transforms.v2 import functional as F

from stages.video.augment import STRONG, Colour, draw, draw_pair
from stages.video.colour import blur_reach, recolour

CLIPS, FRAMES, SIZE = 32, 8, 64


def torchvision(clip: Tensor, colour: Colour) -> Tensor:
    """float [3, T, S, S] -> the same, by torchvision's functions."""
    frames = clip.transpose(0, 1)
    steps = (F.adjust_brightness, F.adjust_contrast, F.adjust_saturation, F.adjust_hue)
    for number in colour.order if colour.factors else ():
        frames = steps[number](frames, colour.factors[number])
    if colour.grey is not None:
        frames = frames[:, colour.grey : colour.grey + 1].expand(-1, 3, -1, -1)
    if colour.sigma is not None:
        frames = F.gaussian_blur(frames, [2 * blur_reach(SIZE) + 1] * 2, [colour.sigma * SIZE / 128] * 2)
    return frames.transpose(0, 1)


def milliseconds(work: Callable[[], object], repeats: int = 7) -> float:
    """The best of several runs, after one that warms up."""
    work()
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        work()
        times.append(time.perf_counter() - start)
    return 1000 * min(times)


def main() -> None:
    torch.set_num_threads(1)
    clips = torch.randint(0, 256, (CLIPS, 3, FRAMES, SIZE, SIZE), dtype=torch.uint8)
    rng = np.random.default_rng(0)
    strong = [draw(STRONG, rng).colour for _ in range(CLIPS)]
    mixed = [draw_pair(rng).query.colour for _ in range(CLIPS)]
    theirs = milliseconds(lambda: torch.stack([torchvision(c, s) for c, s in zip(clips.float() / 255, strong)]))
    ours = milliseconds(lambda: recolour(clips, strong))
    training = milliseconds(lambda: recolour(clips, mixed))
    figures = {"torchvision_ms": theirs, "batched_ms": ours, "ratio": theirs / ours, "as_in_training_ms": training}
    print(json.dumps({name: round(value, 2) for name, value in figures.items()}))


if __name__ == "__main__":
    main()
