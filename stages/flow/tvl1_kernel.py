"""The kernels of TV-L1 for one level of one pair of pictures: numba, one thread, no memory but the given planes.

Between two warps all iterations run as one wavefront: iteration k works two rows behind iteration k - 1, so that all
rows in flight (some 20 of 14 planes) stay in the second-level cache, and a pixel goes through main memory once for all.

Planes are float32 [PLANES, H + 2, padded(W)]; the pixel (y, x) lies at (y + 1, x). The row above a picture stays zero,
and the row below and the column to the right of it repeat its last ones, so that no pixel is a special case of slope
or divergence. What lies further right is processed, which spares the vector loops their rests, and never read by a
pixel.
"""

from __future__ import annotations

import numpy as np

from stages.flow.compiled import kernel, row_kernel

U, V = 0, 1
"""The flow."""
AUX_U, AUX_V = 2, 3
"""The flow after the data step."""
HALF_U, HALF_V = 4, 5
"""The flow after the first dual step."""
ACROSS_U, ACROSS_V, DOWN_U, DOWN_V = 6, 7, 8, 9
"""The dual variables of slopes to the right and downwards."""
SLOPE_X, SLOPE_Y, REST, INVERSE = 10, 11, 12, 13
"""Brightness error to first order = REST + SLOPE_X u + SLOPE_Y v; INVERSE = 1 / (SLOPE_X^2 + SLOPE_Y^2)."""
WAS_U, WAS_V = 14, 15
"""The flow that the outcome of the iterations is compared with."""
WARPED, PART_X, PART_Y = 16, 17, 18
"""The second picture read where the flow points to; the fractions of these places, one row of them."""
PLANES = 19

FLAT = np.float32(1e-10)
"""Squared slopes below this are no slope: their reciprocal means nothing, and overflows for denormal numbers."""
TAU = np.float32(0.25)
"""Time step of the dual ascent: a half over the number of dimensions."""
LAG = 2
"""Rows that an iteration stays behind the one before: its second dual step is so far behind its data step."""


@kernel
def iterate(planes, width, length, iterations, reach, pull, remember):
    """Data step and two dual steps, ``iterations`` times.

    length: pixels of a row to process, from ``width`` up. reach: attachment x tightness. pull: TAU / tightness.
    remember: whether to keep the flow after the first data step in WAS_U and WAS_V.
    """
    height = planes.shape[1] - 2
    for time in range(1, height + 3 + LAG * (iterations - 1)):
        for k in range(iterations):
            row = time - LAG * k
            if 1 <= row <= height:
                _data_row(
                    length, planes[U, row], planes[V, row], planes[SLOPE_X, row], planes[SLOPE_Y, row],
                    planes[REST, row], planes[INVERSE, row], planes[AUX_U, row], planes[AUX_V, row], reach,
                )  # fmt: skip
                _repeat_border(planes, AUX_U, row, width)
                if k == 0 and remember:
                    _copy_row(length, planes[AUX_U, row], planes[WAS_U, row])
                    _copy_row(length, planes[AUX_V, row], planes[WAS_V, row])
            if 1 <= row - 1 <= height:
                _dual_rows(planes, AUX_U, HALF_U, row - 1, length, pull)
                _repeat_border(planes, HALF_U, row - 1, width)
            if 1 <= row - 2 <= height:
                _dual_rows(planes, HALF_U, U, row - 2, length, pull)
                _repeat_border(planes, U, row - 2, width)


@row_kernel
def _dual_rows(planes, source, target, row, length, pull):
    """A dual step of a row of u and of v: slopes are those of plane ``source``, the flow goes to ``target``."""
    for part in range(2):
        _dual_row(
            length, planes[source + part, row], planes[source + part, row + 1], planes[AUX_U + part, row],
            planes[ACROSS_U + part, row], planes[DOWN_U + part, row], planes[DOWN_U + part, row - 1],
            planes[target + part, row], pull,
        )  # fmt: skip


@row_kernel
def _repeat_border(planes, part, row, width):
    for plane in range(part, part + 2):
        planes[plane, row, width] = planes[plane, row, width - 1]
        if row == planes.shape[1] - 2:
            _copy_row(width + 1, planes[plane, row], planes[plane, row + 1])


@row_kernel
def _copy_row(length, source, target):
    for x in range(length):
        target[x] = source[x]


@row_kernel
def _data_row(length, u, v, slope_x, slope_y, rest, inverse, aux_u, aux_v, reach):
    """Move the flow along the slope to where the brightness fits, by ``reach`` slopes at most."""
    for x in range(length):
        error = (rest[x] + slope_x[x] * u[x] + slope_y[x] * v[x]) * inverse[x]
        error = min(max(error, -reach), reach)
        aux_u[x] = u[x] - slope_x[x] * error
        aux_v[x] = v[x] - slope_y[x] * error


@row_kernel
def _dual_row(length, current, below, aux, across, down, down_above, flow, pull):
    """Update the duals by the slopes of ``current``; the flow is then ``aux`` plus their divergence."""
    left = np.float32(0)
    for x in range(length):
        right_slope = current[x + 1] - current[x]
        down_slope = below[x] - current[x]
        share = np.float32(1) / (
            np.float32(1) + pull * np.sqrt(right_slope * right_slope + down_slope * down_slope)
        )
        new_across = (across[x] - TAU * right_slope) * share
        new_down = (down[x] - TAU * down_slope) * share
        across[x] = new_across
        down[x] = new_down
        flow[x] = aux[x] - new_across - new_down + left + down_above[x]
        left = new_across


@kernel
def linearise(first, second, planes, places):
    """Warp the second picture by the flow; slopes, rest and inverse of its brightness error to first order around it.

    first, second: float32 [H, W], H and W at least 2. places: int32 [at least W], scratch.
    """
    height, width = first.shape
    flat = second.reshape(second.size)
    for y in range(height + 1):
        if y < height:
            _warp_row(
                flat, height, width, np.float32(y), planes[U, y + 1], planes[V, y + 1],
                places, planes[PART_X, 0], planes[PART_Y, 0], planes[WARPED, y + 1],
            )  # fmt: skip
        if y > 0:
            above, below = max(y - 1, 1), min(y + 1, height)
            half = np.float32(0.5) if below - above == 2 else np.float32(1)
            _linear_row(
                first[y - 1], planes[WARPED, y], planes[WARPED, above], planes[WARPED, below], half,
                planes[U, y], planes[V, y], planes[SLOPE_X, y], planes[SLOPE_Y, y], planes[REST, y], planes[INVERSE, y],
            )  # fmt: skip


@row_kernel
def _warp_row(picture, height, width, y, u, v, places, part_x, part_y, warped):
    """Bilinear, the border repeated outwards. First the places, in vectors; the scattered reads after it have none."""
    bottom, side = np.float32(height - 1), np.float32(width - 1)
    stride = np.int32(width)
    for x in range(width):
        place_y = _within(y + v[x], bottom)
        place_x = _within(np.float32(x) + u[x], side)
        top = np.int32(min(place_y, bottom - np.float32(1)))
        left = np.int32(min(place_x, side - np.float32(1)))
        part_y[x] = place_y - np.float32(top)
        part_x[x] = place_x - np.float32(left)
        places[x] = top * stride + left
    for x in range(width):
        place = np.intp(places[x])  # unsigned below, or numba would look whether it is meant from the end
        upper, upper_right = picture[np.uintp(place)], picture[np.uintp(place + 1)]
        lower, lower_right = picture[np.uintp(place + width)], picture[np.uintp(place + width + 1)]
        upper += part_x[x] * (upper_right - upper)
        lower += part_x[x] * (lower_right - lower)
        warped[x] = upper + part_y[x] * (lower - upper)


@row_kernel
def _within(place, last):
    """The nearest place from 0 to ``last``; 0 for what is not a number, so that nothing is read beyond the picture."""
    place = place if place > np.float32(0) else np.float32(0)
    return place if place < last else last


@row_kernel
def _linear_row(first, warped, above, below, half, u, v, slope_x, slope_y, rest, inverse):
    width = len(first)
    for x in range(width):
        slope_y[x] = (below[x] - above[x]) * half
    for x in range(1, width - 1):
        slope_x[x] = (warped[x + 1] - warped[x - 1]) * np.float32(0.5)
    slope_x[0] = warped[1] - warped[0]
    slope_x[width - 1] = warped[width - 1] - warped[width - 2]
    for x in range(width):
        square = slope_x[x] * slope_x[x] + slope_y[x] * slope_y[x]
        inverse[x] = np.float32(1) / (square if square >= FLAT else np.float32(1))
        rest[x] = warped[x] - first[x] - slope_x[x] * u[x] - slope_y[x] * v[x]


@kernel
def change(planes, width):
    """Sum of the squared differences of flow and WAS."""
    total = 0.0
    for row in range(1, planes.shape[1] - 1):
        for part in range(2):
            now, was = planes[U + part, row], planes[WAS_U + part, row]
            squares = np.float32(0)
            for x in range(width):
                squares += (now[x] - was[x]) * (now[x] - was[x])
            total += squares
    return total
