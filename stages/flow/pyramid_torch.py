"""Image pyramids, flow between their levels, warping, slopes and medians as scikit-image's TV-L1 has them, in torch.

Filters are sums of shifted slices and not convolutions: cuDNN's may round to TF32, and picks its method by the machine.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F


def grey(frames: Tensor) -> Tensor:
    """Luminance in [0, 1] of RGB, uint8 [T, H, W, 3] -> float32 [T, H, W], as ``skimage.color.rgb2gray`` weighs it."""
    red, green, blue = frames.unbind(-1)
    return red.float().mul_(0.2125 / 255).add_(green.float(), alpha=0.7154 / 255).add_(blue.float(), alpha=0.0721 / 255)


def pyramid(images: Tensor, downscale: float, levels: int, min_size: int) -> list[Tensor]:
    """Images [N, H, W] at ever smaller sizes, smallest first, until a side would get shorter than ``min_size``."""
    sizes = [images]
    while len(sizes) < levels and min(sizes[-1].shape[1:]) > downscale * min_size:
        sizes.append(reduced(sizes[-1], downscale))
    return sizes[::-1]


def reduced(images: Tensor, downscale: float) -> Tensor:
    """[N, H, W] -> [N, ceil(H / downscale), ceil(W / downscale)], blurred (``skimage.transform.pyramid_reduce``)."""
    height, width = images.shape[1:]
    blurred = _blurred(_blurred(images, 1, downscale / 3), 2, downscale / 3)
    size = (math.ceil(height / downscale), math.ceil(width / downscale))
    return F.interpolate(blurred[:, None], size=size, mode="bilinear", align_corners=False)[:, 0]


def enlarged(flow: Tensor, size: tuple[int, int]) -> Tensor:
    """Flow [2, N, H, W] at another size (height, width): the nearest vector, scaled with the picture."""
    height, width = flow.shape[2:]
    rows, columns = (_nearest(old, new).to(flow.device) for old, new in zip((height, width), size))
    larger = flow.index_select(2, rows).index_select(3, columns)
    larger[0].mul_(size[1] / width)
    larger[1].mul_(size[0] / height)
    return larger


def warped(images: Tensor, flow: Tensor) -> Tensor:
    """Images [N, H, W] read at each pixel plus its flow [2, N, H, W]; bilinear, the border repeated outwards."""
    count, height, width = images.shape
    places = images.new_empty(count, height, width, 2)
    for part, (component, size) in enumerate(zip(flow, (width, height))):
        pixels = torch.arange(size, dtype=images.dtype, device=images.device)
        scale = 2 / (size - 1)  # grid_sample counts from -1 to 1
        places[..., part] = component.add(pixels if part == 0 else pixels[:, None]).mul_(scale).sub_(1)
    return F.grid_sample(images[:, None], places, mode="bilinear", padding_mode="border", align_corners=True)[:, 0]


def gradients(images: Tensor) -> Tensor:
    """Slopes to the right and downwards of images [N, H, W]: [2, N, H, W]; central, and one-sided at the border."""
    slopes = images.new_empty(2, *images.shape)
    for part, dim in ((0, 2), (1, 1)):
        size = images.shape[dim]
        slope = slopes[part]
        inner = torch.sub(images.narrow(dim, 2, size - 2), images.narrow(dim, 0, size - 2)).mul_(0.5)
        slope.narrow(dim, 1, size - 2).copy_(inner)
        torch.sub(images.narrow(dim, 1, 1), images.narrow(dim, 0, 1), out=slope.narrow(dim, 0, 1))
        last = slope.narrow(dim, size - 1, 1)
        torch.sub(images.narrow(dim, size - 1, 1), images.narrow(dim, size - 2, 1), out=last)
    return slopes


def median_filtered(planes: Tensor) -> Tensor:
    """Median of each pixel's 3 x 3 neighbours in [N, C, H, W], the border repeated outwards.

    Columns of three are sorted once for the three pixels that share them: the median of nine is the median of the
    greatest minimum, the median median and the smallest maximum of its three columns.
    """
    height, width = planes.shape[-2:]
    padded = F.pad(planes, (1, 1, 1, 1), mode="replicate")
    low, middle, high = _sorted(*(padded[..., i : i + height, :] for i in range(3)))
    lows, middles, highs = ([part[..., i : i + width] for i in range(3)] for part in (low, middle, high))
    greatest = torch.maximum(torch.maximum(lows[0], lows[1]), lows[2])
    smallest = torch.minimum(torch.minimum(highs[0], highs[1]), highs[2])
    return _sorted(greatest, _sorted(*middles)[1], smallest)[1]


def _sorted(first: Tensor, second: Tensor, third: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    low, high = torch.minimum(first, second), torch.maximum(first, second)
    return torch.minimum(low, third), torch.maximum(low, torch.minimum(high, third)), torch.maximum(high, third)


def _blurred(images: Tensor, dim: int, sigma: float) -> Tensor:
    """Gaussian along one dimension, cut at four sigma, the picture mirrored at its border (border pixel repeated)."""
    reach, size = int(4 * sigma + 0.5), images.shape[dim]
    weights = np.exp(-0.5 * (np.arange(reach + 1) / sigma) ** 2)
    weights /= weights[0] + 2 * weights[1:].sum()
    before, after = images.narrow(dim, 0, reach).flip(dim), images.narrow(dim, size - reach, reach).flip(dim)
    padded = torch.cat([before, images, after], dim)
    result = images * float(weights[0])
    for step in range(1, reach + 1):
        both = padded.narrow(dim, reach - step, size) + padded.narrow(dim, reach + step, size)
        result.add_(both, alpha=float(weights[step]))
    return result


def _nearest(old: int, new: int) -> Tensor:
    """For each of ``new`` places the nearest of ``old``, ends on ends (``scipy.ndimage.zoom`` of order 0)."""
    step = (old - 1) / (new - 1) if new > 1 else 1.0
    return torch.floor(torch.arange(new, dtype=torch.float64) * step + 0.5).long()
