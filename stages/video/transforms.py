"""Pixels: cropping a clip to size, and what goes into a network."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor
from torchvision.transforms import InterpolationMode
from torchvision.transforms.v2 import functional as F

from stages.video.augment import Augmentation, place
from stages.video.flow_bytes import REACH, ZERO
from stages.video.spec import IMAGENET_DEVIATION, IMAGENET_MEAN, View
from stages.video.wheel import flow_picture

Statistics = tuple[tuple[float, float, float], tuple[float, float, float]]
"""Mean and deviation of red, green and blue."""

FLOW_UNIT = 2.0
"""Pixels of flow that a network sees as 1: about the deviation of flow in videos of people, 240 pixels high."""


def evaluation_clip(frames: np.ndarray, size: int) -> Tensor:
    """Centre crop: the short side becomes ``size``, the middle of the long side is kept.

    frames: uint8 [T, H, W, C]. Returns uint8 [C, T, size, size].
    """
    height, width = frames.shape[1:3]
    side = min(height, width)
    return _resized(frames, (height - side) // 2, (width - side) // 2, side, side, size)


def training_clip(frames: np.ndarray, augmentation: Augmentation, size: int, view: View) -> Tensor:
    """Random resized crop and flip, alike in all frames; colours follow on whole batches (``stages.video.colour``).

    frames: uint8 [T, H, W, C]. Returns uint8 [C, T, size, size]. Flow vectors keep their length in pixels of the video: scaling a crop
    does not scale them, as in all two-stream work.
    """
    clip = _resized(frames, *place(augmentation.crop, *frames.shape[1:3]), size)
    return mirrored(clip, view) if augmentation.flip else clip


def mirrored(clip: Tensor, view: View) -> Tensor:
    """The clip (uint8 [C, T, H, W]) as a mirror shows it. What moved to the right moves to the left: u is negated.

    A faithful flow view is mirrored like a picture, u keeping its sign, as CoCLR's code does.
    """
    clip = clip.flip(-1)
    if view.kind == "flow" and not view.faithful:
        clip[0] = clip[0].clamp(min=1).neg()  # 256 - byte; 0 can come from a bicubic filter's overshoot only
    return clip


def recoloured(view: View) -> bool:
    """Whether colour jitter, grey and blur apply to the view. Changing the hue of a flow field would turn its vectors."""
    return view.kind != "flow" or view.faithful


def statistics(view: View) -> Statistics:
    """Mean and deviation of colours in [0, 1] by which a view normalises them: its own for rgb, else ImageNet's."""
    return (view.mean, view.deviation) if view.kind == "rgb" else (IMAGENET_MEAN, IMAGENET_DEVIATION)


def normalise(clips: Tensor, view: View) -> Tensor:
    """What a network of ``view`` sees.

    clips: [N, C, T, H, W] as ``ViewReader.read`` gives them, uint8 or float in [0, 1]. Returns float32 of the same shape.
    rgb: the view's mean and deviation; ImageNet's for flow that is faithful to CoCLR's code. Other flow: u and v in units of ``FLOW_UNIT`` pixels.
    difference: each frame minus the one before, in units of the deviation; the first frame, which has none before it, gets the
    second's difference (zero in a clip of one frame).
    """
    clips = clips.float().div(255) if clips.dtype == torch.uint8 else clips.float()
    if view.kind == "flow" and not view.faithful:
        return (clips * 255 - ZERO) * (view.bound / REACH / FLOW_UNIT)
    mean, deviation = _as_tensors(statistics(view), clips.device)
    if view.kind != "difference":
        return (clips - mean) / deviation
    steps = clips.diff(dim=2) / deviation
    if clips.shape[2] == 1:
        return torch.zeros_like(clips)
    return torch.cat([steps[:, :, :1], steps], dim=2)


def denormalise(clips: Tensor, view: View) -> Tensor:
    """A picture of what ``normalise`` made: uint8 [N, 3, T, H, W]; grey stands for no difference, white for no flow."""
    if view.kind == "flow" and not view.faithful:
        flow = clips.movedim(1, -1).cpu().numpy()
        most = float(np.quantile(np.hypot(flow[..., 0], flow[..., 1]), 0.99))
        return torch.from_numpy(flow_picture(flow, max(most, 1e-6))).movedim(-1, 1)
    mean, deviation = _as_tensors(statistics(view), clips.device)
    scaled = clips.float() * deviation + (0.5 if view.kind == "difference" else mean)
    return scaled.mul(255).round().clamp(0, 255).to(torch.uint8)


def _as_tensors(found: Statistics, device: torch.device) -> tuple[Tensor, Tensor]:
    """Each [3, 1, 1, 1]."""
    mean, deviation = torch.tensor(found, device=device).view(2, 3, 1, 1, 1)
    return mean, deviation


def _resized(frames: np.ndarray, top: int, left: int, height: int, width: int, size: int) -> Tensor:
    """Cut a window and scale it with an antialiasing bicubic filter: uint8 [T, H, W, C] -> [C, T, size, size]."""
    window = torch.from_numpy(frames[:, top : top + height, left : left + width].copy())
    pixels = window.permute(0, 3, 1, 2)  # channels-last in memory: torch's fast path for uint8
    scaled = F.resize(pixels, [size, size], interpolation=InterpolationMode.BICUBIC, antialias=True)
    return scaled.permute(1, 0, 2, 3).contiguous()
