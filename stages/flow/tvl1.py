"""TV-L1 optical flow (Zach, Pock, Bischof 2007) as scikit-image solves it, on the CPU: a pair of frames a thread."""

from __future__ import annotations

import numpy as np

from stages.flow import tvl1_kernel as kernel
from stages.flow.compiled import aligned_zeros, padded, processed
from stages.flow.median import MedianFilter
from stages.flow.pairs import each_pair
from stages.flow.pyramid import enlarge, level_sizes, nearest, pyramid
from stages.video.flow_spec import Tvl1


def tvl1_flow(frames: np.ndarray, config: Tvl1, threads: int) -> np.ndarray:
    """Flow from each frame to the next.

    frames: RGB, uint8 [T, H, W, 3]. Returns float32 [T - 1, H, W, 2] (none for T = 0): (u, v) in pixels, u to the
    right, v down. Equal to scikit-image's ``optical_flow_tvl1`` of the grey frames to rounding. ``threads`` do not
    change a bit.
    """
    height, width = frames.shape[1:3]
    if min(height, width) < 2:  # slopes need two pixels
        larger = np.pad(frames, ((0, 0), (0, int(height < 2)), (0, int(width < 2)), (0, 0)), mode="edge")
        return tvl1_flow(larger, config, threads)[:, :height, :width]
    sizes = level_sizes(height, width, config)
    return each_pair(
        frames, threads, lambda frame: pyramid(frame, sizes, config.downscale), lambda: Solver(sizes, config)
    )


class Solver:
    """Solves one pair after another in memory of its own."""

    def __init__(self, sizes: list[tuple[int, int]], config: Tvl1) -> None:
        self._config = config
        self._planes = [aligned_zeros(kernel.PLANES, height + 2, padded(width)) for height, width in sizes]
        self._places = np.empty(sizes[0][1], np.int32)
        self._median = MedianFilter(3, sizes[0][1])

    def __call__(self, first: list[np.ndarray], second: list[np.ndarray]) -> np.ndarray:
        """Pyramids of two frames, the full one first -> flow float32 [2 (u, v), H, W], valid until the next call."""
        self._planes[-1][kernel.U : kernel.V + 1] = 0
        for level in reversed(range(len(first))):
            if level + 1 < len(first):
                self._begin_with_smaller(level, first[level + 1].shape, first[level].shape)
            self._solve_level(first[level], second[level], self._planes[level])
        height, width = first[0].shape
        return self._planes[0][kernel.U : kernel.V + 1, 1 : height + 1, :width]

    def _begin_with_smaller(self, level: int, old: tuple[int, int], new: tuple[int, int]) -> None:
        rows, columns = nearest(old[0], new[0]), nearest(old[1], new[1])
        for part, axis in ((kernel.U, 1), (kernel.V, 0)):
            scale = np.float32(new[axis] / old[axis])
            enlarge(self._planes[level + 1][part], self._planes[level][part], rows, columns, scale)

    def _solve_level(self, first: np.ndarray, second: np.ndarray, planes: np.ndarray) -> None:
        config, width = self._config, first.shape[1]
        reach, pull = (
            np.float32(config.attachment * config.tightness),
            np.float32(kernel.TAU / config.tightness),
        )
        planes[kernel.ACROSS_U : kernel.DOWN_V + 1] = 0  # the duals start anew at each level
        for _ in range(config.num_warp):
            if config.prefilter:
                self._filter_flow(planes, width)
            kernel.linearise(first, second, planes, self._places)
            # without the filter, scikit-image's first data step overwrites the flow that it will compare with
            remember = not config.prefilter
            kernel.iterate(planes, width, processed(width), config.num_iter, reach, pull, remember)
            if kernel.change(planes, width) < config.tol * first.size:
                break

    def _filter_flow(self, planes: np.ndarray, width: int) -> None:
        for flow, was in ((kernel.U, kernel.WAS_U), (kernel.V, kernel.WAS_V)):
            planes[was] = planes[flow]
            self._median(planes[was], planes[flow], width)
