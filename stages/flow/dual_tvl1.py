"""TV-L1 as OpenCV solves it, which the papers' extraction scripts used; on the CPU, one pair of frames a thread."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from stages.flow import dual_tvl1_kernel
from stages.video.flow_spec import DualTvl1

SMALLEST = 16
"""The pyramid ends before a side gets shorter than this."""


def dual_tvl1_flow(frames: np.ndarray, config: DualTvl1, threads: int) -> np.ndarray:
    """Flow from each frame to the next.

    frames: RGB, uint8 [T, H, W, 3]. Returns float32 [T - 1, H, W, 2]: (u, v) in pixels, u to the right, v down. The result does not depend on
    ``threads``.
    """
    pairs = len(frames) - 1
    out = np.empty((max(pairs, 0), *frames.shape[1:3], 2), np.float32)
    if pairs < 1:
        return out
    sizes = level_sizes(*frames.shape[1:3], config)
    local = threading.local()

    def pyramid(frame: np.ndarray) -> list[np.ndarray]:
        levels = [np.empty(sizes[0], np.float32)]
        dual_tvl1_kernel.grey(frame, levels[0])
        for size in sizes[1:]:
            levels.append(np.empty(size, np.float32))
            dual_tvl1_kernel.resize(levels[-2], 1 / config.scale_step, 1 / config.scale_step, np.float32(1), levels[-1])
        return levels

    def pair(number: int) -> None:
        if not hasattr(local, "planes"):
            local.planes = [np.zeros((dual_tvl1_kernel.PLANES, *size), np.float32) for size in sizes]
        _solve(pyramids[number], pyramids[number + 1], local.planes, config)
        out[number] = local.planes[0][:2].transpose(1, 2, 0)

    with ThreadPoolExecutor(threads) as pool:
        pyramids = list(pool.map(pyramid, frames))
        list(pool.map(pair, range(pairs)))
    return out


def level_sizes(height: int, width: int, config: DualTvl1) -> list[tuple[int, int]]:
    """Height and width of the pyramid's levels, the full one first."""
    sizes = [(height, width)]
    while len(sizes) < config.scales:
        smaller = tuple(round(side * config.scale_step) for side in sizes[-1])
        if min(smaller) < SMALLEST:
            break
        sizes.append(smaller)
    return sizes


def _solve(first: list[np.ndarray], second: list[np.ndarray], planes: list[np.ndarray], config: DualTvl1) -> None:
    """Coarse to fine; the flow is left in the first two of the full level's planes."""
    planes[-1][:2] = 0
    theta = np.float32(config.theta)
    for level in reversed(range(len(planes))):
        height, width = first[level].shape
        if level + 1 < len(planes):
            small_height, small_width = first[level + 1].shape
            for part in range(2):
                coarse, factor = planes[level + 1][part], np.float32(1 / config.scale_step)
                dual_tvl1_kernel.resize(coarse, small_height / height, small_width / width, factor, planes[level][part])
        dual_tvl1_kernel.solve_level(
            first[level],
            second[level],
            planes[level],
            config.warps,
            config.inner_iterations,
            config.outer_iterations,
            config.median_filter,
            np.float32(config.attachment * config.theta),
            theta,
            np.float32(config.tau / config.theta),
            config.epsilon**2 * height * width,
        )
