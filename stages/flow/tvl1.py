"""TV-L1 optical flow on the CPU: whole clips, one pair of frames a thread (Zach, Pock, Bischof 2007, as scikit-image solves it)."""

from __future__ import annotations

import math
import threading
from concurrent.futures import ThreadPoolExecutor
from functools import cache

import numpy as np

from stages.flow import tvl1_kernel as kernel
from stages.video.flow_spec import Tvl1


def tvl1_flow(frames: np.ndarray, config: Tvl1, threads: int) -> np.ndarray:
    """Flow from each frame to the next.

    frames: RGB, uint8 [T, H, W, 3], H and W at least 2. Returns float32 [T - 1, H, W, 2]: (u, v) in pixels, u to the right, v down. Equal to
    scikit-image's ``optical_flow_tvl1`` of the grey frames to rounding. The result does not depend on ``threads``.
    """
    pairs = len(frames) - 1
    sizes = level_sizes(*frames.shape[1:3], config)
    out = np.empty((pairs, *frames.shape[1:3], 2), np.float32)
    if not pairs:
        return out
    local = threading.local()

    def pyramid(number: int) -> list[np.ndarray]:
        return _pyramid(frames[number], sizes, config.downscale)

    def pair(number: int) -> None:
        if not hasattr(local, "planes"):
            local.planes = [np.zeros((kernel.PLANES, h + 1, w + 1), np.float32) for h, w in sizes]
        _solve(pyramids[number], pyramids[number + 1], local.planes, config)
        out[number, ..., 0] = local.planes[0][0, 1:, 1:]
        out[number, ..., 1] = local.planes[0][1, 1:, 1:]

    if threads == 1:
        pyramids = [pyramid(i) for i in range(pairs + 1)]
        for number in range(pairs):
            pair(number)
    else:
        with ThreadPoolExecutor(threads) as pool:
            pyramids = list(pool.map(pyramid, range(pairs + 1)))
            list(pool.map(pair, range(pairs)))
    return out


def level_sizes(height: int, width: int, config: Tvl1) -> list[tuple[int, int]]:
    """Height and width of the pyramid's levels, the full one first; the last is the first that is small enough."""
    sizes = [(height, width)]
    while len(sizes) < config.nlevel and min(sizes[-1]) > config.downscale * config.min_size:
        sizes.append(tuple(math.ceil(side / config.downscale) for side in sizes[-1]))
    return sizes


def _pyramid(frame: np.ndarray, sizes: list[tuple[int, int]], downscale: float) -> list[np.ndarray]:
    """Grey pictures float32 [h, w] of all sizes, the full one first."""
    levels = [np.empty(sizes[0], np.float32)]
    kernel.grey(frame, levels[0])
    weights = _gaussian(downscale / 3)
    for height, width in sizes[1:]:
        above = levels[-1]
        levels.append(np.empty((height, width), np.float32))
        row, column = np.empty(above.shape[1], np.float32), np.empty((above.shape[0], width), np.float32)
        kernel.reduce(above, weights, row, column, levels[-1])
    return levels


def _solve(first: list[np.ndarray], second: list[np.ndarray], planes: list[np.ndarray], config: Tvl1) -> None:
    """Coarse to fine; the flow is left in the first two of the full level's planes."""
    planes[-1][:2] = 0
    reach, pull = np.float32(config.attachment * config.tightness), np.float32(kernel.TAU / config.tightness)
    for level in reversed(range(len(planes))):
        height, width = first[level].shape
        if level + 1 < len(planes):
            small_height, small_width = first[level + 1].shape
            rows, columns = _nearest(small_height, height), _nearest(small_width, width)
            kernel.enlarge(planes[level + 1][:2], planes[level][:2], height, width, rows, columns)
        tolerance = config.tol * height * width
        kernel.solve_level(
            first[level], second[level], planes[level], config.num_warp, config.num_iter, reach, pull, tolerance, config.prefilter
        )


@cache
def _gaussian(sigma: float) -> np.ndarray:
    """Weights of the centre and of each step to a side, cut at four sigma."""
    weights = np.exp(-0.5 * (np.arange(int(4 * sigma + 0.5) + 1) / sigma) ** 2)
    return (weights / (weights[0] + 2 * weights[1:].sum())).astype(np.float32)


@cache
def _nearest(old: int, new: int) -> np.ndarray:
    """For each of ``new`` places the nearest of ``old``, ends on ends (``scipy.ndimage.zoom`` of order 0)."""
    step = (old - 1) / (new - 1) if new > 1 else 1.0
    return np.floor(np.arange(new) * step + 0.5).astype(np.int64)
