"""Grey pictures at ever smaller sizes, and flow between the sizes, as scikit-image's TV-L1 has them; compiled by numba."""

from __future__ import annotations

import math
from functools import cache
from typing import NamedTuple

import numpy as np

from stages.flow.compiled import kernel, row_kernel
from stages.video.flow_spec import Tvl1


class Taps(NamedTuple):
    """How pixels become a row of another length: ``new[i] = sum over k of weights[i, k] * old[places[i, k]]``."""

    places: np.ndarray
    weights: np.ndarray


def level_sizes(height: int, width: int, config: Tvl1) -> list[tuple[int, int]]:
    """Height and width of the pyramid's levels, the full one first; the last is the first that is small enough."""
    sizes = [(height, width)]
    while len(sizes) < config.nlevel and min(sizes[-1]) > config.downscale * config.min_size:
        sizes.append(tuple(math.ceil(side / config.downscale) for side in sizes[-1]))
    return sizes


def pyramid(frame: np.ndarray, sizes: list[tuple[int, int]], downscale: float) -> list[np.ndarray]:
    """RGB uint8 [H, W, 3] -> luminance in [0, 1], float32 [h, w], at all ``sizes`` (``skimage.transform.pyramid_reduce``)."""
    levels = [np.empty(sizes[0], np.float32)]
    grey(np.require(frame, requirements="CW"), levels[0])
    for (height, width), (small_height, small_width) in zip(sizes, sizes[1:]):
        rows, columns = _taps(height, small_height, downscale), _taps(width, small_width, downscale)
        smaller = np.empty((small_height, small_width), np.float32)
        resample(levels[-1], *rows, *columns, np.empty(width, np.float32), smaller)
        levels.append(smaller)
    return levels


@cache
def nearest(old: int, new: int) -> np.ndarray:
    """For each of ``new`` places the nearest of ``old``, ends on ends (``scipy.ndimage.zoom`` of order 0)."""
    step = (old - 1) / (new - 1) if new > 1 else 1.0
    return np.floor(np.arange(new) * step + 0.5).astype(np.uintp)


@cache
def _taps(old: int, new: int, downscale: float) -> Taps:
    """A Gaussian of a third of ``downscale``, cut at four sigma, read bilinearly at the centres of ``new`` pixels.

    The row is mirrored at its ends, the last pixel repeated.
    """
    sigma = downscale / 3
    reach = int(4 * sigma + 0.5)
    gaussian = np.exp(-0.5 * (np.arange(-reach, reach + 1) / sigma) ** 2)
    gaussian /= gaussian.sum()
    centres = np.clip((np.arange(new) + 0.5) * (old / new) - 0.5, 0, old - 1)
    left = np.minimum(centres.astype(np.intp), max(old - 2, 0))
    part = (centres - left)[:, None]
    weights = np.pad(gaussian, (0, 1)) * (1 - part) + np.pad(gaussian, (1, 0)) * part
    places = (left[:, None] + np.arange(-reach, reach + 2)) % (2 * old)
    return Taps(np.minimum(places, 2 * old - 1 - places).astype(np.uintp), weights.astype(np.float32))


@kernel
def grey(frame, out):
    """Luminance in [0, 1] of RGB uint8 [H, W, 3], as ``skimage.color.rgb2gray`` weighs it."""
    for y in range(frame.shape[0]):
        for x in range(frame.shape[1]):
            out[y, x] = (
                np.float32(0.2125 / 255) * np.float32(frame[y, x, 0])
                + np.float32(0.7154 / 255) * np.float32(frame[y, x, 1])
                + np.float32(0.0721 / 255) * np.float32(frame[y, x, 2])
            )


@kernel
def resample(picture, row_places, row_weights, column_places, column_weights, row, out):
    """``picture`` [H, W] at another size, into ``out``: rows and columns as ``Taps`` tell. row: float32 [W], scratch."""
    for y in range(out.shape[0]):
        row[:] = 0
        for k in range(row_places.shape[1]):
            _add(picture[row_places[y, k]], row_weights[y, k], row)
        for x in range(out.shape[1]):
            total = np.float32(0)
            for k in range(column_places.shape[1]):
                total += row[column_places[x, k]] * column_weights[x, k]
            out[y, x] = total


@row_kernel
def _add(source, weight, total):
    for x in range(len(total)):
        total[x] += source[x] * weight


@kernel
def enlarge(small, large, rows, columns, scale):
    """Plane ``large`` of the next level: the vectors of ``small`` at ``rows`` [H] and ``columns`` [W], times ``scale``.

    The pixel (y, x) of both lies at (y + 1, x).
    """
    for y in range(len(rows)):
        source, target = small[rows[y] + np.uintp(1)], large[y + 1]
        for x in range(len(columns)):
            target[x] = source[columns[x]] * scale
