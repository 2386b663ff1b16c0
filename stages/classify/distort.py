"""RandAugment and random erasing of whole clips, each a function of a NumPy generator and nothing else."""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor
from torchvision.transforms import v2

from stages.classify.spec import RandAugment
from stages.video.transforms import Statistics

_LEVELS = 30
"""Levels of a magnitude of 10."""
_ATTEMPTS = 10
_AREA = (0.02, 1 / 3)
_ASPECT = 0.3
"""Least ratio of an erased rectangle's sides; the greatest is its inverse (Zhong et al., "Random Erasing")."""


def rand_augment(clip: Tensor, spec: RandAugment, colours: Statistics, rng: np.random.Generator) -> Tensor:
    """Distort a clip, all of its frames alike: uint8 [3, T, H, W] -> the same shape.

    What a rotation or a shift uncovers is filled with the mean colour. The global torch generator is left as it was.
    """
    magnitude = min(max(rng.normal(spec.magnitude, spec.deviation), 0.0), 10.0)
    level = round(magnitude / 10 * _LEVELS)
    fill = [round(255 * mean) for mean in colours[0]]
    operations = v2.RandAugment(spec.operations, level, num_magnitude_bins=_LEVELS + 1, fill=fill)
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(int(rng.integers(2**62)))
        return operations(clip.transpose(0, 1)).transpose(0, 1).contiguous()


def erase(clip: Tensor, colours: Statistics, rng: np.random.Generator) -> Tensor:
    """One rectangle, the same in all frames, becomes noise of these statistics: uint8 [3, T, H, W].

    The clip stays as it is in the rare case that no rectangle fits in ten tries.
    """
    frames, height, width = clip.shape[1:]
    for _ in range(_ATTEMPTS):
        area = rng.uniform(*_AREA) * height * width
        aspect = math.exp(rng.uniform(math.log(_ASPECT), -math.log(_ASPECT)))
        h, w = round(math.sqrt(area * aspect)), round(math.sqrt(area / aspect))
        if not (0 < h < height and 0 < w < width):
            continue
        top, left = int(rng.integers(height - h + 1)), int(rng.integers(width - w + 1))
        noise = rng.standard_normal((frames, h, w, 3), np.float32)
        shown = noise * np.float32(colours[1]) + np.float32(colours[0])
        pixels = torch.from_numpy((shown * 255).round().clip(0, 255).astype(np.uint8)).permute(3, 0, 1, 2)
        clip = clip.clone()
        clip[:, :, top : top + h, left : left + w] = pixels
        break
    return clip
