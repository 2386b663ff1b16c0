"""The kernel of TV-L1 as OpenCV's ``DualTVL1OpticalFlow`` solves it, for one pyramid level of one pair; numba, one thread.

Unlike scikit-image's scheme it warps the slopes of the second picture instead of taking slopes of the warped one, reads between
pixels with cubic polynomials, filters the flow by its median before each round of iterations, and ends a round when the flow has settled.
"""

from __future__ import annotations

import numpy as np

from stages.flow.compiled import kernel

PLANES = 15
"""u, v; their auxiliaries; four duals; the warped slopes, their square, rest; slopes of the second picture; scratch."""

FLAT = np.float32(1.1920929e-07)
CUBIC = np.float32(-0.75)
"""Slope parameter of the cubic polynomials. They are taken at the exact place; OpenCV before version 5 rounds it to 1/32 pixel."""

@kernel
def solve_level(first, second, work, warps, inner, outer, median, reach, theta, step, enough):
    """Improve the flow in ``work[0]`` and ``work[1]``. All planes are float32 [H, W].

    reach: lambda x theta. step: tau / theta. enough: the sum of squared changes at which a round ends.
    """
    height, width = first.shape
    work[4:8] = 0
    _slopes(second, work[12], work[13])
    for warp in range(warps):
        _warp(first, second, work)
        change = np.inf
        for round in range(outer):
            if change <= enough:
                break
            if median > 1:
                for part in range(2):
                    work[14] = work[part]
                    _median(work[14], work[part], median)
            for iteration in range(inner):
                if change <= enough:
                    break
                for y in range(height):
                    _data_row(
                        work[0, y], work[1, y], work[2, y], work[3, y],
                        work[8, y], work[9, y], work[10, y], work[11, y], reach,
                    )  # fmt: skip
                change = 0.0
                for part in range(2):
                    for y in range(height):
                        above = max(y - 1, 0)
                        change += _flow_row(
                            work[part, y], work[2 + part, y], work[4 + 2 * part, y], work[5 + 2 * part, y],
                            work[5 + 2 * part, above], theta if y else np.float32(0), theta,
                        )  # fmt: skip
                    for y in range(height):
                        below = min(y + 1, height - 1)
                        _dual_row(work[part, y], work[part, below], work[4 + 2 * part, y], work[5 + 2 * part, y], step)


@kernel
def _data_row(u, v, aux_u, aux_v, slope_x, slope_y, square, rest, reach):
    """Threshold step (Zach et al., eq. 15), branch-free."""
    for x in range(len(u)):
        error = rest[x] + slope_x[x] * u[x] + slope_y[x] * v[x]
        share = min(max(error / max(square[x], FLAT), -reach), reach)
        share = share if square[x] > FLAT or abs(error) > reach * square[x] else np.float32(0)
        aux_u[x] = u[x] - slope_x[x] * share
        aux_v[x] = v[x] - slope_y[x] * share


@kernel
def _flow_row(flow, auxiliary, across, down, down_above, theta_above, theta):
    """The flow becomes the auxiliary plus theta times the divergence of the duals; returns the sum of squared changes."""
    total = np.float32(0)
    new = auxiliary[0] + theta * (across[0] + down[0]) - theta_above * down_above[0]
    total += (new - flow[0]) * (new - flow[0])
    flow[0] = new
    for x in range(1, len(flow)):
        new = auxiliary[x] + theta * (across[x] - across[x - 1] + down[x]) - theta_above * down_above[x]
        total += (new - flow[x]) * (new - flow[x])
        flow[x] = new
    return total


@kernel
def _dual_row(flow, below, across, down, step):
    last = len(flow) - 1
    for x in range(last):
        right_slope, down_slope = flow[x + 1] - flow[x], below[x] - flow[x]
        share = np.float32(1) / (np.float32(1) + step * np.sqrt(right_slope * right_slope + down_slope * down_slope))
        across[x] = (across[x] + step * right_slope) * share
        down[x] = (down[x] + step * down_slope) * share
    down_slope = below[last] - flow[last]
    share = np.float32(1) / (np.float32(1) + step * abs(down_slope))
    across[last] = across[last] * share
    down[last] = (down[last] + step * down_slope) * share


@kernel
def _slopes(picture, slope_x, slope_y):
    """Half of the difference of both neighbours; at the border of the pixel itself and its one neighbour."""
    height, width = picture.shape
    for y in range(height):
        above, below = max(y - 1, 0), min(y + 1, height - 1)
        for x in range(width):
            slope_y[y, x] = np.float32(0.5) * (picture[below, x] - picture[above, x])
            slope_x[y, x] = np.float32(0.5) * (picture[y, min(x + 1, width - 1)] - picture[y, max(x - 1, 0)])


@kernel
def _warp(first, second, work):
    """Second picture and its slopes at each pixel plus its flow; square of the slopes, and rest of the brightness error."""
    height, width = first.shape
    across, down = np.empty(4, np.float32), np.empty(4, np.float32)
    for y in range(height):
        for x in range(width):
            place_x, place_y = np.float32(x) + work[0, y, x], np.float32(y) + work[1, y, x]
            left, top = np.floor(place_x), np.floor(place_y)
            _cubic(place_x - left, across)
            _cubic(place_y - top, down)
            left, top = int(left) - 1, int(top) - 1
            value, slope_x, slope_y = np.float32(0), np.float32(0), np.float32(0)
            for i in range(4):
                for j in range(4):
                    if 0 <= top + i < height and 0 <= left + j < width:  # outside the picture there is nothing: 0
                        weight = down[i] * across[j]
                        value += weight * second[top + i, left + j]
                        slope_x += weight * work[12, top + i, left + j]
                        slope_y += weight * work[13, top + i, left + j]
            work[8, y, x], work[9, y, x] = slope_x, slope_y
            work[10, y, x] = slope_x * slope_x + slope_y * slope_y
            work[11, y, x] = value - slope_x * work[0, y, x] - slope_y * work[1, y, x] - first[y, x]


@kernel
def _cubic(part, weights):
    """Weights of the pixels at -1, 0, 1 and 2 for a place ``part`` of the way from 0 to 1."""
    after = part + np.float32(1)
    before = np.float32(1) - part
    weights[0] = ((CUBIC * after - np.float32(5) * CUBIC) * after + np.float32(8) * CUBIC) * after - np.float32(4) * CUBIC
    weights[1] = ((CUBIC + np.float32(2)) * part - (CUBIC + np.float32(3))) * part * part + np.float32(1)
    weights[2] = ((CUBIC + np.float32(2)) * before - (CUBIC + np.float32(3))) * before * before + np.float32(1)
    weights[3] = np.float32(1) - weights[0] - weights[1] - weights[2]


@kernel
def _median(source, target, side):
    """Median of side x side neighbours, the border repeated outwards."""
    height, width = source.shape
    reach, count = side // 2, side * side
    values = np.empty(count, np.float32)
    for y in range(height):
        for x in range(width):
            for i in range(count):
                value = source[
                    min(max(y + i // side - reach, 0), height - 1), min(max(x + i % side - reach, 0), width - 1)
                ]
                place = i
                while place > 0 and values[place - 1] > value:
                    values[place] = values[place - 1]
                    place -= 1
                values[place] = value
            target[y, x] = values[count // 2]


@kernel
def resize(picture, scale_y, scale_x, factor, out):
    """Bilinear without a blur, times ``factor``; pixel y of ``out`` has its centre at (y + 0.5) * scale_y of the picture."""
    height, width = picture.shape
    for y in range(out.shape[0]):
        place_y = min(max((y + 0.5) * scale_y - 0.5, 0.0), height - 1.0)
        top = int(place_y)
        bottom, part_y = min(top + 1, height - 1), np.float32(place_y - top)
        for x in range(out.shape[1]):
            place_x = min(max((x + 0.5) * scale_x - 0.5, 0.0), width - 1.0)
            left = int(place_x)
            right, part_x = min(left + 1, width - 1), np.float32(place_x - left)
            upper = picture[top, left] + part_x * (picture[top, right] - picture[top, left])
            lower = picture[bottom, left] + part_x * (picture[bottom, right] - picture[bottom, left])
            out[y, x] = (upper + part_y * (lower - upper)) * factor


@kernel
def grey(frame, out):
    """Luminance in whole levels of 0 to 255 of RGB uint8 [H, W, 3], with OpenCV's weights and rounding."""
    for y in range(frame.shape[0]):
        for x in range(frame.shape[1]):
            red, green, blue = np.int64(frame[y, x, 0]), np.int64(frame[y, x, 1]), np.int64(frame[y, x, 2])
            out[y, x] = np.float32((red * 9798 + green * 19235 + blue * 3735 + 16384) >> 15)
