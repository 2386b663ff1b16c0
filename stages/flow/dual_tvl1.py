"""TV-L1 as OpenCV solves it, which the papers' extraction scripts used; on the CPU, one pair of frames a thread."""

from __future__ import annotations

from functools import cache

import numpy as np

from stages.flow import dual_tvl1_kernel as kernel
from stages.flow.compiled import aligned_zeros, padded, processed
from stages.flow.median import MedianFilter
from stages.flow.pairs import each_pair
from stages.flow.pyramid import Taps, resample
from stages.video.flow_spec import DualTvl1

SMALLEST = 16
"""The pyramid ends before a side gets shorter than this."""


def dual_tvl1_flow(frames: np.ndarray, config: DualTvl1, threads: int) -> np.ndarray:
    """Flow from each frame to the next.

    frames: RGB, uint8 [T, H, W, 3]. Returns float32 [T - 1, H, W, 2] (none for T = 0): (u, v) in pixels, u to the right, v down. The result
    does not depend on ``threads``.
    """
    sizes = level_sizes(*frames.shape[1:3], config)
    return each_pair(frames, threads, lambda frame: _pyramid(frame, sizes, config.scale_step), lambda: Solver(sizes, config))


def level_sizes(height: int, width: int, config: DualTvl1) -> list[tuple[int, int]]:
    """Height and width of the pyramid's levels, the full one first."""
    sizes = [(height, width)]
    while len(sizes) < config.scales:
        smaller = tuple(round(side * config.scale_step) for side in sizes[-1])
        if min(smaller) < SMALLEST:
            break
        sizes.append(smaller)
    return sizes


class Solver:
    """Solves one pair after another in memory of its own."""

    def __init__(self, sizes: list[tuple[int, int]], config: DualTvl1) -> None:
        self._config = config
        self._planes = [aligned_zeros(kernel.PLANES, height + 2, padded(width)) for height, width in sizes]
        self._places = np.empty(sizes[0][1], np.int32)
        self._weights = np.empty((8, sizes[0][1]), np.float32)
        self._median = MedianFilter(config.median_filter, sizes[0][1])

    def __call__(self, first: list[np.ndarray], second: list[np.ndarray]) -> np.ndarray:
        """Pyramids of two frames, the full size first -> flow float32 [2 (u, v), H, W], valid until the next call."""
        flow = np.zeros((2, *_size(first[-1])), np.float32)
        for level in reversed(range(len(first))):
            height, width = _size(first[level])
            if level + 1 < len(first):
                flow = np.stack([_resized(part, (height, width)) for part in flow]) * np.float32(1 / self._config.scale_step)
            flow = self._solve_level(first[level], second[level], self._planes[level], flow)
        return flow

    def _solve_level(self, first: np.ndarray, second: np.ndarray, planes: np.ndarray, flow: np.ndarray) -> np.ndarray:
        config = self._config
        height, width = _size(first)
        inside = np.s_[kernel.U : kernel.V + 1, 1 : height + 1, :width]
        planes[inside] = flow
        planes[kernel.ACROSS_U : kernel.DOWN_V + 1] = 0
        reach, theta = np.float32(config.attachment * config.theta), np.float32(config.theta)
        step, enough = np.float32(config.tau / config.theta), config.epsilon**2 * height * width
        for _ in range(config.warps):
            kernel.linearise(first, second, planes, self._places, self._weights)
            for _ in range(config.outer_iterations):
                if config.median_filter > 1:
                    self._filter_flow(planes, width)
                change = kernel.iterate(planes, width, processed(width), config.inner_iterations, reach, theta, step, enough)
                if change <= enough:
                    break
        return np.ascontiguousarray(planes[inside])

    def _filter_flow(self, planes: np.ndarray, width: int) -> None:
        for part in (kernel.U, kernel.V):
            planes[kernel.UNFILTERED] = planes[part]
            self._median(planes[kernel.UNFILTERED], planes[part], width)


def _pyramid(frame: np.ndarray, sizes: list[tuple[int, int]], scale_step: float) -> list[np.ndarray]:
    """RGB uint8 [H, W, 3] -> grey levels and their slopes, as ``dual_tvl1_kernel.with_slopes`` lays them out, at all ``sizes``."""
    grey = np.empty(sizes[0], np.float32)
    kernel.grey(np.require(frame, requirements="CW"), grey)
    levels = []
    for size in sizes:
        if levels:
            grey = _resized(grey, size, 1 / scale_step)
        margins = 2 * kernel.MARGIN
        levels.append(np.zeros((3, size[0] + margins, size[1] + margins), np.float32))
        kernel.with_slopes(grey, levels[-1])
    return levels


def _size(level: np.ndarray) -> tuple[int, int]:
    return level.shape[1] - 2 * kernel.MARGIN, level.shape[2] - 2 * kernel.MARGIN


def _resized(picture: np.ndarray, size: tuple[int, int], ratio: float | None = None) -> np.ndarray:
    """float32 [H, W] at another size, bilinear without a blur. ratio: of old pixels to new; by default that of the sizes."""
    rows, columns = (_taps(old, new, ratio or old / new) for old, new in zip(picture.shape, size))
    out = np.empty(size, np.float32)
    resample(picture, *rows, *columns, np.empty(picture.shape[1], np.float32), out)
    return out


@cache
def _taps(old: int, new: int, ratio: float) -> Taps:
    centres = np.clip((np.arange(new) + 0.5) * ratio - 0.5, 0, old - 1)
    left = np.minimum(centres.astype(np.uintp), np.uintp(max(old - 2, 0)))
    part = centres - left
    return Taps(
        np.stack([left, np.minimum(left + np.uintp(1), np.uintp(old - 1))], axis=1),
        np.stack([1 - part, part], axis=1).astype(np.float32),
    )
