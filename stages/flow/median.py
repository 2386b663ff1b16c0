"""Median filter of a plane of flow, the border repeated outwards; compiled by numba, a row of pixels at a time."""

from __future__ import annotations

from functools import cache

import numpy as np

from stages.flow.compiled import aligned_zeros, kernel, padded, row_kernel


class MedianFilter:
    """Median of ``side`` x ``side`` neighbours, in memory of its own; in planes the pixel (y, x) lies at (y + 1, x)."""

    def __init__(self, side: int, width: int) -> None:
        """side: odd. width: at most so many pixels a row."""
        self._reach = side // 2
        self._steps, self._outcome = _in_places(selection_network(side * side), side * side)
        self._window = aligned_zeros(side * side + 2, padded(width))

    def __call__(self, source: np.ndarray, target: np.ndarray, width: int) -> None:
        """float32 [H + 2, at least width] -> the same. The two must not overlap."""
        _filter(source, target, width, self._reach, self._steps, self._outcome, self._window)


@cache
def selection_network(count: int) -> tuple[tuple[int, int], ...]:
    """Pairs (i, j) of places to put in order, one after another, to get the median of ``count`` (odd) to the middle.

    Batcher's merge exchange (Knuth, The Art of Computer Programming 3, section 5.2.2, Algorithm M) without the pairs
    that do not matter for the middle.
    """
    pairs = []
    top = 1 << max((count - 1).bit_length() - 1, 0)
    step = top
    while step:
        reach, phase, distance = top, 0, step
        while True:
            pairs += [(i, i + distance) for i in range(count - distance) if i & step == phase]
            if reach == step:
                break
            distance, reach, phase = reach - step, reach // 2, step
        step //= 2
    needed, kept = {count // 2}, []
    for pair in reversed(pairs):
        if needed.intersection(pair):
            needed.update(pair)
            kept.append(pair)
    return tuple(kept[::-1])


def _in_places(network: tuple[tuple[int, int], ...], count: int) -> tuple[np.ndarray, int]:
    """The network in ``count`` + 2 places: each pair goes, in order, to the two places that are free, and leaves two.

    (Exchanging them in place compiles to masked stores, which are slow.) Returns the steps, int64 [pairs, 4] = from,
    from, the smaller to, the greater to; and the place of the median at the end.
    """
    places, free, steps = list(range(count)), (count, count + 1), []
    for low, high in network:
        steps.append((places[low], places[high], *free))
        free, (places[low], places[high]) = (places[low], places[high]), free
    return np.array(steps, np.int64).reshape(-1, 4), places[count // 2]


@kernel
def _filter(source, target, width, reach, steps, outcome, window):
    height = source.shape[0] - 2
    for y in range(height):
        number = 0
        for down in range(-reach, reach + 1):
            row = min(max(y + down, 0), height - 1) + 1
            for right in range(-reach, reach + 1):
                _shift_row(width, source[row], right, window[number])
                number += 1
        for step in range(len(steps)):
            _order_rows(
                width,
                window[steps[step, 0]],
                window[steps[step, 1]],
                window[steps[step, 2]],
                window[steps[step, 3]],
            )
        _shift_row(width, window[outcome], 0, target[y + 1])


@row_kernel
def _shift_row(width, source, right, target):
    """target[x] = source[x + right], the ends of the row repeated."""
    first, last = min(max(-right, 0), width), max(min(width, width - right), 0)
    for x in range(first):
        target[x] = source[0]
    if first < last:
        _copy_row(last - first, source[first + right :], target[first:])
    for x in range(max(first, last), width):
        target[x] = source[width - 1]


@row_kernel
def _copy_row(length, source, target):
    for x in range(length):
        target[x] = source[x]


@row_kernel
def _order_rows(length, one, other, smaller, greater):
    for x in range(length):
        smaller[x] = min(one[x], other[x])
        greater[x] = max(one[x], other[x])
