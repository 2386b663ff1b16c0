"""Pictures at other sizes; grey ones and flow as scikit-image's TV-L1 has them. Compiled by numba."""

from __future__ import annotations

import math
from functools import cache
from typing import NamedTuple

import numpy as np

from stages.flow.compiled import kernel, row_kernel
from stages.video.flow_spec import Tvl1


class Taps(NamedTuple):
    """How pixels become a row of another length: ``new[i] = sum over k of weights[i, k] * old[places[i, k]]``.

    places: uintp [new, K]. weights: float32 [new, K].
    """

    places: np.ndarray
    weights: np.ndarray


def level_sizes(height: int, width: int, config: Tvl1) -> list[tuple[int, int]]:
    """Height and width of the pyramid's levels, the full one first; the last is the first that is small enough."""
    sizes = [(height, width)]
    while len(sizes) < config.nlevel and min(sizes[-1]) > config.downscale * config.min_size:
        sizes.append(tuple(math.ceil(side / config.downscale) for side in sizes[-1]))
    return sizes


def pyramid(frame: np.ndarray, sizes: list[tuple[int, int]], downscale: float) -> list[np.ndarray]:
    """RGB uint8 [H, W, 3] -> luminance, float32 [h, w], at all ``sizes`` (scikit-image's ``pyramid_reduce``)."""
    levels = [np.empty(sizes[0], np.float32)]
    grey(np.require(frame, requirements="CW"), levels[0])
    for old, new in zip(sizes, sizes[1:]):
        levels.append(resized(levels[-1], *(_blurring_taps(o, n, downscale) for o, n in zip(old, new))))
    return levels


def resized(picture: np.ndarray, rows: Taps, columns: Taps) -> np.ndarray:
    """float32 [H, W], contiguous -> the size that the taps have."""
    out = np.empty((len(rows.places), len(columns.places)), np.float32)
    _resample(picture, *rows, *columns, np.empty(picture.shape[1], np.float32), out)
    return out


@cache
def linear_taps(old: int, new: int, ratio: float) -> Taps:
    """Bilinear reading at the centres of ``new`` pixels, each ``ratio`` old ones long; the ends repeated outwards."""
    centres = np.clip((np.arange(new) + 0.5) * ratio - 0.5, 0, old - 1)
    left = np.minimum(centres.astype(np.intp), max(old - 2, 0))
    part = centres - left
    places = np.stack([left, np.minimum(left + 1, old - 1)], axis=1)
    return Taps(places.astype(np.uintp), np.stack([1 - part, part], axis=1).astype(np.float32))


@cache
def _blurring_taps(old: int, new: int, downscale: float) -> Taps:
    """The same of a row blurred by a Gaussian of a third of ``downscale``, cut at four sigma; mirrored at its ends."""
    sigma = downscale / 3
    reach = int(4 * sigma + 0.5)
    gaussian = np.exp(-0.5 * (np.arange(-reach, reach + 1) / sigma) ** 2)
    gaussian /= gaussian.sum()
    (left, _), (before, after) = (part.T for part in linear_taps(old, new, old / new))
    weights = np.pad(gaussian, (0, 1)) * before[:, None] + np.pad(gaussian, (1, 0)) * after[:, None]
    places = (left.astype(np.intp)[:, None] + np.arange(-reach, reach + 2)) % (2 * old)
    places = np.minimum(places, 2 * old - 1 - places)  # the pixel at the end counts twice
    return Taps(places.astype(np.uintp), weights.astype(np.float32))


@cache
def nearest(old: int, new: int) -> np.ndarray:
    """For each of ``new`` places the nearest of ``old``, ends on ends (``scipy.ndimage.zoom`` order 0): uintp [new]."""
    step = (old - 1) / (new - 1) if new > 1 else 1.0
    return np.floor(np.arange(new) * step + 0.5).astype(np.uintp)


@kernel
def grey(frame, out):
    """Luminance in [0, 1] of RGB uint8 [H, W, 3], as ``skimage.color.rgb2gray`` weighs it; out: float32 [H, W]."""
    for y in range(frame.shape[0]):
        for x in range(frame.shape[1]):
            out[y, x] = (
                np.float32(0.2125 / 255) * np.float32(frame[y, x, 0])
                + np.float32(0.7154 / 255) * np.float32(frame[y, x, 1])
                + np.float32(0.0721 / 255) * np.float32(frame[y, x, 2])
            )


@kernel
def enlarge(small, large, rows, columns, scale):
    """Plane ``large`` of the next level: the values of ``small`` at ``rows`` [H] and ``columns`` [W], times ``scale``.

    The pixel (y, x) of both lies at (y + 1, x).
    """
    for y in range(len(rows)):
        source, target = small[rows[y] + np.uintp(1)], large[y + 1]
        for x in range(len(columns)):
            target[x] = source[columns[x]] * scale


@kernel
def _resample(picture, row_places, row_weights, column_places, column_weights, row, out):
    """row: float32 [W], scratch."""
    for y in range(out.shape[0]):
        row[:] = 0
        for k in range(row_places.shape[1]):
            _add_row(picture[row_places[y, k]], row_weights[y, k], row)
        for x in range(out.shape[1]):
            total = np.float32(0)
            for k in range(column_places.shape[1]):
                total += row[column_places[x, k]] * column_weights[x, k]
            out[y, x] = total


@row_kernel
def _add_row(source, weight, total):
    for x in range(len(total)):
        total[x] += source[x] * weight
