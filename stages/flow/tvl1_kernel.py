"""The fused kernel of TV-L1 for one pair of pictures: numba, one thread, no memory but the workspace that it is given.

What limits it. In whole-array operations an iteration moves some 385 bytes a pixel through memory. Here the iterations between two
warps run as a wavefront: iteration k works three rows behind iteration k - 1, so that all rows in flight (some 30 of 12 planes) stay in
the second-level cache and a pixel goes through main memory once for all of them. What remains is arithmetic: four square roots and
four divisions a pixel and iteration, eight pixels at a time.

Planes have one more column on the left and one more row on top, which stay zero: no pixel is a special case of the divergence.
"""

from __future__ import annotations

import numpy as np
from llvmlite import binding
from numba import njit

# The rows that a loop works on do not overlap, which LLVM must find out at run time: by default it gives up on so many of them.
binding.set_option("", "--runtime-memory-check-threshold=1000")

FAST = {"nsz", "arcp", "contract", "afn", "reassoc"}
"""Freedoms of floating-point arithmetic that are taken; infinity and NaN keep their meaning."""

PLANES = 15
"""u, v; their auxiliaries; four duals; two slopes, rest, inverse; u and v before the iterations; the warped picture."""

FLAT = np.float32(1e-10)
"""Squared slopes below this are no slope: their reciprocal is meaningless, and overflows for denormal numbers."""

TAU = np.float32(0.25)
"""Time step of the dual ascent: a half over the number of dimensions."""

_jit = njit(cache=True, nogil=True, error_model="numpy", fastmath=FAST)


@_jit
def solve_level(first, second, work, num_warp, num_iter, reach, pull, tolerance, prefilter):
    """Improve the flow in ``work[0]`` (u) and ``work[1]`` (v) of one pyramid level.

    first, second: float32 [H, W]. work: float32 [PLANES, H + 1, W + 1]; a pixel (y, x) lies at (y + 1, x + 1).
    reach: attachment x tightness. pull: TAU / tightness. tolerance: the sum of squared changes below which the level ends.
    """
    height, width = first.shape
    work[2:8] = 0  # the duals start anew at each level
    for warp in range(num_warp):
        if prefilter:
            _copy(work[0], work[12])
            _copy(work[1], work[13])
            _median(work[12], work[0])
            _median(work[13], work[1])
        _linearise(first, second, work)
        for time in range(height + 3 * num_iter):
            for k in range(num_iter):
                row = time - 3 * k
                if 0 <= row < height:
                    _data_row(
                        work[0, row + 1], work[1, row + 1], work[2, row + 1], work[3, row + 1],
                        work[8, row + 1], work[9, row + 1], work[10, row + 1], work[11, row + 1], reach,
                    )  # fmt: skip
                    if k == 0 and not prefilter:
                        work[12, row + 1] = work[2, row + 1]
                        work[13, row + 1] = work[3, row + 1]
                if 1 <= row <= height:
                    _dual_rows(work, 2, row - 1, height, pull)
                if 2 <= row <= height + 1:
                    _dual_rows(work, 0, row - 2, height, pull)
        if _change(work, height, width) < tolerance:
            break


@_jit
def _data_row(u, v, aux_u, aux_v, slope_x, slope_y, rest, inverse, reach):
    """Threshold step: move the flow along the slope to where the brightness fits, by ``reach`` slopes at most."""
    for x in range(1, len(u)):
        error = (rest[x] + slope_x[x] * u[x] + slope_y[x] * v[x]) * inverse[x]
        error = min(max(error, -reach), reach)
        aux_u[x] = u[x] - slope_x[x] * error
        aux_v[x] = v[x] - slope_y[x] * error


@_jit
def _dual_rows(work, source, row, height, pull):
    """A dual step of a row of u and of v, whose slopes are taken of planes ``source`` and ``source + 1``."""
    at, below = row + 1, min(row + 2, height)  # below the last row lies itself: no slope
    for part in range(2):
        _dual_row(
            work[source + part, at], work[source + part, below], work[2 + part, at],
            work[4 + 2 * part, at], work[5 + 2 * part, at], work[5 + 2 * part, at - 1], work[part, at], pull,
        )  # fmt: skip


@_jit
def _dual_row(current, below, auxiliary, across, down, down_above, flow, pull):
    """across, down: duals of the row, updated. flow: auxiliary less the divergence's negative, written."""
    last = len(current) - 1
    left = np.float32(0)
    for x in range(1, last):
        right_slope = current[x + 1] - current[x]
        down_slope = below[x] - current[x]
        share = np.float32(1) / (np.float32(1) + pull * np.sqrt(right_slope * right_slope + down_slope * down_slope))
        new_across = (across[x] - TAU * right_slope) * share
        new_down = (down[x] - TAU * down_slope) * share
        across[x] = new_across
        down[x] = new_down
        flow[x] = auxiliary[x] - new_across - new_down + left + down_above[x]
        left = new_across
    down_slope = below[last] - current[last]
    share = np.float32(1) / (np.float32(1) + pull * abs(down_slope))
    down[last] = (down[last] - TAU * down_slope) * share
    flow[last] = auxiliary[last] - down[last] + left + down_above[last]


@_jit
def _linearise(first, second, work):
    """Warp the second picture by the flow; slopes, rest and inverse of its brightness error to first order around it."""
    height, width = first.shape
    warped = work[14]
    for y in range(height):
        _warp_row(second, work[0, y + 1], work[1, y + 1], np.float32(y), warped[y + 1])
    for y in range(height):
        above, below = max(y, 1), min(y + 2, height)
        half = np.float32(0.5) if below - above == 2 else np.float32(1)
        _linear_row(
            first[y], warped[y + 1], warped[above], warped[below], half, work[0, y + 1], work[1, y + 1],
            work[8, y + 1], work[9, y + 1], work[10, y + 1], work[11, y + 1],
        )  # fmt: skip


@_jit
def _warp_row(picture, u, v, y, out):
    """Bilinear, the border repeated outwards."""
    height, width = picture.shape
    bottom, side = np.float32(height - 1), np.float32(width - 1)
    for x in range(width):
        place_y = min(max(y + v[x + 1], np.float32(0)), bottom)
        place_x = min(max(np.float32(x) + u[x + 1], np.float32(0)), side)
        top, left = np.int32(place_y), np.int32(place_x)
        top, left = min(top, np.int32(height - 2)), min(left, np.int32(width - 2))
        part_y, part_x = place_y - np.float32(top), place_x - np.float32(left)
        upper = picture[top, left] + part_x * (picture[top, left + 1] - picture[top, left])
        lower = picture[top + 1, left] + part_x * (picture[top + 1, left + 1] - picture[top + 1, left])
        out[x + 1] = upper + part_y * (lower - upper)


@_jit
def _linear_row(first, warped, above, below, half, u, v, slope_x, slope_y, rest, inverse):
    last = len(first)
    for x in range(1, last + 1):
        slope_y[x] = (below[x] - above[x]) * half
    for x in range(2, last):
        slope_x[x] = (warped[x + 1] - warped[x - 1]) * np.float32(0.5)
    slope_x[1] = warped[2] - warped[1]
    slope_x[last] = warped[last] - warped[last - 1]
    for x in range(1, last + 1):
        square = slope_x[x] * slope_x[x] + slope_y[x] * slope_y[x]
        inverse[x] = np.float32(1) / square if square >= FLAT else np.float32(1)
        rest[x] = warped[x] - first[x - 1] - slope_x[x] * u[x] - slope_y[x] * v[x]


@_jit
def _change(work, height, width):
    """Sum of the squared changes of the flow since it was copied."""
    total = 0.0
    for y in range(1, height + 1):
        for part in range(2):
            new, old = work[part, y], work[12 + part, y]
            row = np.float32(0)
            for x in range(1, width + 1):
                row += (new[x] - old[x]) * (new[x] - old[x])
            total += row
    return total


@_jit
def _copy(source, target):
    for y in range(source.shape[0]):
        target[y] = source[y]


@_jit
def _median(source, target):
    """3 x 3 median of a plane, the border repeated outwards."""
    rows, columns = source.shape
    nine = np.empty(9, np.float32)
    for y in range(1, rows):
        for x in range(1, columns):
            for i in range(9):
                value = source[min(max(y + i // 3 - 1, 1), rows - 1), min(max(x + i % 3 - 1, 1), columns - 1)]
                place = i
                while place > 0 and nine[place - 1] > value:
                    nine[place] = nine[place - 1]
                    place -= 1
                nine[place] = value
            target[y, x] = nine[4]


@_jit
def enlarge(small, large, height, width, rows, columns):
    """Flow of the next level, ``large`` [2, >=height, >=width], from that of this one: the vectors at ``rows`` and ``columns``, scaled."""
    for part in range(2):
        old = small.shape[2 - part] - 1
        new = width if part == 0 else height
        scale = np.float32(new / old)
        for y in range(height):
            for x in range(width):
                large[part, y + 1, x + 1] = small[part, rows[y] + 1, columns[x] + 1] * scale


@_jit
def reduce(picture, weights, row, column, out):
    """Blur by ``weights`` (of the centre, and of each step away from it; the border mirrored) and sample bilinearly at a smaller size.

    row: float32 [W], column: float32 [H, w]: scratch, w the width of ``out``.
    """
    height, width = picture.shape
    small_height, small_width = out.shape
    reach = len(weights) - 1
    for y in range(height):
        for x in range(width):
            row[x] = picture[y, x] * weights[0]
        for i in range(1, reach + 1):
            up, down = _mirror(y - i, height), _mirror(y + i, height)
            for x in range(width):
                row[x] += (picture[up, x] + picture[down, x]) * weights[i]
        for x in range(small_width):
            place = max((np.float32(x) + np.float32(0.5)) * np.float32(width / small_width) - np.float32(0.5), np.float32(0))
            left = min(int(place), width - 1)
            right = min(left + 1, width - 1)
            part = place - np.float32(left)
            column[y, x] = _blurred(row, left, weights) * (np.float32(1) - part) + _blurred(row, right, weights) * part
    for y in range(small_height):
        place = max((np.float32(y) + np.float32(0.5)) * np.float32(height / small_height) - np.float32(0.5), np.float32(0))
        top = min(int(place), height - 1)
        bottom = min(top + 1, height - 1)
        part = place - np.float32(top)
        for x in range(small_width):
            out[y, x] = column[top, x] * (np.float32(1) - part) + column[bottom, x] * part


@_jit
def _blurred(row, x, weights):
    width = len(row)
    total = row[x] * weights[0]
    for i in range(1, len(weights)):
        total += (row[_mirror(x - i, width)] + row[_mirror(x + i, width)]) * weights[i]
    return total


@_jit
def _mirror(place, size):
    """The border pixel counts twice: -1 is 0, -2 is 1."""
    if place < 0:
        place = -1 - place
    if place >= size:
        place = 2 * size - 1 - place
    return min(max(place, 0), size - 1)


@_jit
def grey(frame, out):
    """Luminance in [0, 1] of RGB uint8 [H, W, 3], as ``skimage.color.rgb2gray`` weighs it."""
    for y in range(frame.shape[0]):
        for x in range(frame.shape[1]):
            out[y, x] = (
                np.float32(0.2125 / 255) * np.float32(frame[y, x, 0])
                + np.float32(0.7154 / 255) * np.float32(frame[y, x, 1])
                + np.float32(0.0721 / 255) * np.float32(frame[y, x, 2])
            )
