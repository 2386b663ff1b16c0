"""TV-L1 optical flow as OpenCV solves it, which the papers' extraction scripts used, on the CPU."""

from __future__ import annotations

import numpy as np

from stages.flow import dual_tvl1_kernel as kernel
from stages.flow.compiled import aligned_zeros, padded, processed
from stages.flow.median import MedianFilter
from stages.flow.pairs import each_pair
from stages.flow.pyramid import linear_taps, resized
from stages.video.flow_spec import DualTvl1

SMALLEST = 16
"""The pyramid ends before a side gets shorter than this."""


def dual_tvl1_flow(frames: np.ndarray, config: DualTvl1, threads: int) -> np.ndarray:
    """Flow from each frame to the next.

    frames: RGB, uint8 [T, H, W, 3]. Returns float32 [T - 1, H, W, 2] (none for T = 0): (u, v) in pixels, u to the
    right, v down. ``threads`` do not change a bit. From the flow of OpenCV 5 it differs as much as that does from
    itself on a processor without AVX2: some 0.01 pixels in the mean, due to few pixels that may go either way.
    """
    sizes = level_sizes(*frames.shape[1:3], config)
    return each_pair(
        frames,
        threads,
        lambda frame: _pyramid(frame, sizes, config.scale_step),
        lambda: Solver(sizes, config),
    )


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
        for one, two, planes in reversed(list(zip(first, second, self._planes))):
            if flow.shape[1:] != _size(one):
                larger = np.stack([_resized(part, _size(one)) for part in flow])
                flow = larger * np.float32(1 / self._config.scale_step)
            flow = self._solve_level(one, two, planes, flow)
        return flow

    def _solve_level(
        self, first: np.ndarray, second: np.ndarray, planes: np.ndarray, flow: np.ndarray
    ) -> np.ndarray:
        config, (height, width) = self._config, _size(first)
        inside = np.s_[kernel.U : kernel.V + 1, 1 : height + 1, :width]
        planes[inside] = flow
        planes[kernel.ACROSS_U : kernel.DOWN_V + 1] = 0
        reach, theta = np.float32(config.attachment * config.theta), np.float32(config.theta)
        step, enough = np.float32(config.tau / config.theta), config.epsilon**2 * height * width
        length, iterations = processed(width), config.inner_iterations
        for _ in range(config.warps):
            kernel.linearise(first, second, planes, self._places, self._weights)
            for _ in range(config.outer_iterations):
                if config.median_filter > 1:
                    self._filter_flow(planes, width)
                if kernel.iterate(planes, width, length, iterations, reach, theta, step, enough) <= enough:
                    break
        return np.ascontiguousarray(planes[inside])

    def _filter_flow(self, planes: np.ndarray, width: int) -> None:
        for part in (kernel.U, kernel.V):
            planes[kernel.UNFILTERED] = planes[part]
            self._median(planes[kernel.UNFILTERED], planes[part], width)


def _pyramid(frame: np.ndarray, sizes: list[tuple[int, int]], scale_step: float) -> list[np.ndarray]:
    """RGB uint8 [H, W, 3] -> grey at all ``sizes``, with slopes, as ``dual_tvl1_kernel.with_slopes`` lays it out."""
    grey = np.empty(sizes[0], np.float32)
    kernel.grey(np.require(frame, requirements="CW"), grey)
    levels = []
    for height, width in sizes:
        if levels:
            grey = _resized(grey, (height, width), 1 / scale_step)
        levels.append(np.zeros((3, height + 2 * kernel.MARGIN, width + 2 * kernel.MARGIN), np.float32))
        kernel.with_slopes(grey, levels[-1])
    return levels


def _size(level: np.ndarray) -> tuple[int, int]:
    return level.shape[1] - 2 * kernel.MARGIN, level.shape[2] - 2 * kernel.MARGIN


def _resized(picture: np.ndarray, size: tuple[int, int], ratio: float | None = None) -> np.ndarray:
    """float32 [H, W] at another size. ratio: of old pixels to new; by default that of the sizes."""
    return resized(
        picture, *(linear_taps(old, new, ratio or old / new) for old, new in zip(picture.shape, size))
    )
