"""Pixels: cropping a clip to size, and what goes into a network."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor
from torchvision.transforms import InterpolationMode
from torchvision.transforms.v2 import functional as F

from stages.video.augment import Augmentation, place
from stages.video.spec import View

MEAN = (0.485, 0.456, 0.406)
STD = (0.229, 0.224, 0.225)
"""ImageNet statistics, for RGB scaled to [0, 1]."""


def evaluation_clip(frames: np.ndarray, size: int) -> Tensor:
    """Centre crop: the short side becomes ``size``, the middle of the long side is kept.

    frames: uint8 [T, H, W, 3]. Returns uint8 [3, T, size, size].
    """
    height, width = frames.shape[1:3]
    side = min(height, width)
    return _resized(frames, (height - side) // 2, (width - side) // 2, side, side, size)


def training_clip(frames: np.ndarray, augmentation: Augmentation, size: int) -> Tensor:
    """Random resized crop and flip, alike in all frames; colours follow on whole batches (``stages.video.colour``).

    frames: uint8 [T, H, W, 3]. Returns uint8 [3, T, size, size].
    """
    clip = _resized(frames, *place(augmentation.crop, *frames.shape[1:3]), size)
    return clip.flip(-1) if augmentation.flip else clip


def normalise(clips: Tensor, view: View) -> Tensor:
    """What a network of ``view`` sees.

    clips: [N, 3, T, H, W] RGB, uint8 or float in [0, 1]. Returns float32 of the same shape.
    rgb: ImageNet mean and deviation. difference: each frame minus the one before, in units of the deviation; the
    first frame, which has none before it, gets the second's difference (zero in a clip of one frame).
    """
    clips = clips.float().div(255) if clips.dtype == torch.uint8 else clips.float()
    std = torch.tensor(STD, device=clips.device).view(3, 1, 1, 1)
    if view.kind == "rgb":
        return (clips - torch.tensor(MEAN, device=clips.device).view(3, 1, 1, 1)) / std
    steps = clips.diff(dim=2) / std
    if clips.shape[2] == 1:
        return torch.zeros_like(clips)
    return torch.cat([steps[:, :, :1], steps], dim=2)


def denormalise(clips: Tensor, view: View) -> Tensor:
    """A picture of what ``normalise`` made: uint8 of the same shape; grey stands for no difference."""
    shape = (3, 1, 1, 1)
    middle = torch.tensor(MEAN if view.kind == "rgb" else (0.5, 0.5, 0.5), device=clips.device).view(shape)
    scaled = clips.float() * torch.tensor(STD, device=clips.device).view(shape) + middle
    return scaled.mul(255).round().clamp(0, 255).to(torch.uint8)


def _resized(frames: np.ndarray, top: int, left: int, height: int, width: int, size: int) -> Tensor:
    """Cut a window and scale it with an antialiasing bicubic filter: uint8 [T, H, W, 3] -> [3, T, size, size]."""
    window = torch.from_numpy(frames[:, top : top + height, left : left + width].copy())
    pixels = window.permute(0, 3, 1, 2)  # channels-last in memory: torch's fast path for uint8
    scaled = F.resize(pixels, [size, size], interpolation=InterpolationMode.BICUBIC, antialias=True)
    return scaled.permute(1, 0, 2, 3).contiguous()
