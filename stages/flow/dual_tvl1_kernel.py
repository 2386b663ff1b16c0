"""The kernels of OpenCV's scheme of TV-L1 for one level of one pair of pictures: numba, one thread.

Unlike scikit-image's scheme it warps the slopes of the second picture instead of taking slopes of the warped one, reads
between pixels with cubic polynomials, and looks after each iteration whether the flow has settled, so that an iteration
must end before the next begins.

Planes are float32 [PLANES, H + 2, padded(W)]; the pixel (y, x) lies at (y + 1, x), but in ACROSS at (y + 1, x + 1). The
row above a picture and the first column of ACROSS stay zero, and the flow below and to the right of it repeats its last
row and column, so that no pixel is a special case of slope or divergence. What lies further right is processed, which
spares the vector loops their rests, and never read by a pixel.
"""

from __future__ import annotations

import numpy as np

from stages.flow.compiled import kernel, row_kernel

U, V = 0, 1
"""The flow."""
ACROSS_U, ACROSS_V, DOWN_U, DOWN_V = 2, 3, 4, 5
"""The dual variables of slopes to the right and downwards."""
SLOPE_X, SLOPE_Y, REST, INVERSE = 6, 7, 8, 9
"""Brightness error to first order = REST + SLOPE_X u + SLOPE_Y v; INVERSE = 1 / (SLOPE_X^2 + SLOPE_Y^2)."""
UNFILTERED = 10
"""One component of the flow while it is filtered."""
PLANES = 11

MARGIN = 4
"""Zeros around a stored picture: to OpenCV there is nothing outside of it, and four pixels are read side by side."""
FLAT = np.float32(np.finfo(np.float32).eps)
"""Squared slopes are taken to be at least this."""
CUBIC = np.float32(-0.75)
"""Slope of the cubic polynomials a pixel away. Places are exact: OpenCV before version 5 rounds them to 1/32 pixel."""


@kernel
def iterate(planes, width, length, iterations, reach, theta, step, enough):
    """Data step, flow from the duals, duals from the flow: until the flow has settled, at most ``iterations`` times.

    length: pixels of a row to process, from ``width`` up. reach: lambda x theta. step: tau / theta. Returns the sum of
    squared changes in the last iteration; where it is at most ``enough`` for the first time, iterations end.
    """
    height = planes.shape[1] - 2
    for _ in range(iterations):
        change = 0.0
        for row in range(1, height + 2):
            if row <= height:
                change += _flow_row(
                    length, width, planes[U, row], planes[V, row], planes[SLOPE_X, row], planes[SLOPE_Y, row],
                    planes[REST, row], planes[INVERSE, row], planes[ACROSS_U, row], planes[ACROSS_V, row],
                    planes[DOWN_U, row], planes[DOWN_V, row], planes[DOWN_U, row - 1], planes[DOWN_V, row - 1],
                    reach, theta,
                )  # fmt: skip
                _repeat_border(planes, row, width)
            if row > 1:
                for part in range(2):
                    _dual_row(
                        length, planes[U + part, row - 1], planes[U + part, row],
                        planes[ACROSS_U + part, row - 1], planes[DOWN_U + part, row - 1], step,
                    )  # fmt: skip
        if change <= enough:
            break
    return change


@row_kernel
def _repeat_border(planes, row, width):
    for part in range(U, V + 1):
        planes[part, row, width] = planes[part, row, width - 1]
        if row == planes.shape[1] - 2:
            _copy_row(width + 1, planes[part, row], planes[part, row + 1])


@row_kernel
def _copy_row(length, source, target):
    for x in range(length):
        target[x] = source[x]


@row_kernel
def _flow_row(
    length, width, u, v, slope_x, slope_y, rest, inverse, across_u, across_v, down_u, down_v, above_u, above_v,
    reach, theta,
):  # fmt: skip
    """Move the flow along the slope to where the brightness fits, and by the divergence; the sum of squared changes."""
    total = np.float32(0)
    for x in range(length):
        error = (rest[x] + slope_x[x] * u[x] + slope_y[x] * v[x]) * inverse[x]
        error = min(max(error, -reach), reach)
        change_u = theta * (across_u[x + 1] - across_u[x] + down_u[x] - above_u[x]) - slope_x[x] * error
        change_v = theta * (across_v[x + 1] - across_v[x] + down_v[x] - above_v[x]) - slope_y[x] * error
        u[x] += change_u
        v[x] += change_v
        total += change_u * change_u + change_v * change_v if x < width else np.float32(0)
    return total


@row_kernel
def _dual_row(length, flow, below, across, down, step):
    for x in range(length):
        right_slope, down_slope = flow[x + 1] - flow[x], below[x] - flow[x]
        share = np.float32(1) / (
            np.float32(1) + step * np.sqrt(right_slope * right_slope + down_slope * down_slope)
        )
        across[x + 1] = (across[x + 1] + step * right_slope) * share
        down[x] = (down[x] + step * down_slope) * share


@kernel
def grey(frame, out):
    """Luminance in whole levels of 0 to 255 of RGB uint8 [H, W, 3], with OpenCV's weights and rounding."""
    for y in range(frame.shape[0]):
        for x in range(frame.shape[1]):
            red, green, blue = np.int32(frame[y, x, 0]), np.int32(frame[y, x, 1]), np.int32(frame[y, x, 2])
            out[y, x] = np.float32((red * 9798 + green * 19235 + blue * 3735 + 16384) >> 15)


@kernel
def with_slopes(picture, out):
    """Picture [H, W] -> itself and its slopes to the right and downwards, in zeros: [3, H + 2 MARGIN, W + 2 MARGIN].

    Slopes are half of the difference of both neighbours; at the border of the pixel itself and its one neighbour.
    """
    height, width = picture.shape
    for y in range(height):
        above, below = picture[max(y - 1, 0)], picture[min(y + 1, height - 1)]
        row = out[:, y + MARGIN]
        for x in range(width):
            row[0, x + MARGIN] = picture[y, x]
            row[1, x + MARGIN] = np.float32(0.5) * (
                picture[y, min(x + 1, width - 1)] - picture[y, max(x - 1, 0)]
            )
            row[2, x + MARGIN] = np.float32(0.5) * (below[x] - above[x])


@kernel
def linearise(first, second, planes, places, weights):
    """Second picture and its slopes read where the flow points to; the brightness error to first order around that.

    first, second: as from ``with_slopes``. places: int32 [at least W]; weights: float32 [8, at least W]: scratch.
    """
    height, width = first.shape[1] - 2 * MARGIN, first.shape[2] - 2 * MARGIN
    flat = second.reshape(3, second[0].size)
    for y in range(height):
        row = y + 1
        _place_row(width, np.float32(y), height, planes[U, row], planes[V, row], places, weights)
        for part, target in ((0, REST), (1, SLOPE_X), (2, SLOPE_Y)):
            _read_row(width, flat[part], second.shape[2], places, weights, planes[target, row])
        _linear_row(
            width, first[0, y + MARGIN, MARGIN:], planes[U, row], planes[V, row],
            planes[SLOPE_X, row], planes[SLOPE_Y, row], planes[REST, row], planes[INVERSE, row],
        )  # fmt: skip


@row_kernel
def _place_row(width, y, height, u, v, places, weights):
    """For each pixel, where the 4 x 4 pixels begin that it is read from, and their weights: 4 across, then 4 down."""
    stride = np.int32(width + 2 * MARGIN)
    for x in range(width):
        place_x, place_y = np.float32(x) + u[x], y + v[x]
        left, top = np.floor(place_x), np.floor(place_y)
        part_x, part_y = place_x - left, place_y - top
        left, top = _within(left, np.float32(width + 1)), _within(top, np.float32(height + 1))
        places[x] = (np.int32(top) + np.int32(MARGIN - 1)) * stride + np.int32(left) + np.int32(MARGIN - 1)
        for begin, part in ((0, part_x), (4, part_y)):
            before = np.float32(1) - part
            one, two = _outer(part), _inner(part)
            three = _inner(before)
            weights[begin, x], weights[begin + 1, x], weights[begin + 2, x] = one, two, three
            weights[begin + 3, x] = np.float32(1) - one - two - three


@row_kernel
def _within(place, last):
    """The nearest place from the first to ``last``, where all four pixels are in the margin and further out there is
    nothing; the first for what is not a number, so that nothing is read beyond the margin."""
    first = np.float32(1 - MARGIN)
    place = place if place > first else first
    return place if place < last else last


@row_kernel
def _inner(distance):
    """Weight of a pixel at a distance from 0 to 1."""
    inner = (CUBIC + np.float32(2)) * distance - (CUBIC + np.float32(3))
    return inner * distance * distance + np.float32(1)


@row_kernel
def _outer(distance):
    """Weight of a pixel at a distance of 1 + ``distance``, from 1 to 2."""
    return ((CUBIC * distance - np.float32(2) * CUBIC) * distance + CUBIC) * distance


@row_kernel
def _read_row(width, picture, stride, places, weights, out):
    for x in range(width):
        place = np.uintp(places[x])  # unsigned, or numba would look whether it is meant from the end
        total = np.float32(0)
        for i in range(4):
            line = np.float32(0)
            for j in range(4):
                line += weights[j, x] * picture[place + np.uintp(j)]
            total += weights[4 + i, x] * line
            place += np.uintp(stride)
        out[x] = total


@row_kernel
def _linear_row(width, first, u, v, slope_x, slope_y, rest, inverse):
    """rest: holds the warped picture, and is replaced."""
    for x in range(width):
        square = slope_x[x] * slope_x[x] + slope_y[x] * slope_y[x]
        inverse[x] = np.float32(1) / max(square, FLAT)
        rest[x] = rest[x] - first[x] - slope_x[x] * u[x] - slope_y[x] * v[x]
