"""Masks of clips: bool [T', H', W'] on a coarse grid, True where masked; drawn from a NumPy generator and nothing else.

``faithful`` blocks follow MaskFeat's public code with what it does in effect: it gives up a block after a number of
trials and the mask then stays short of what was asked, a block never spans a side of the grid and never hangs over its
border, so that the middle is masked several times as often as the corners. ``exact`` blocks may hang over the border,
which makes every cell equally likely, and the last one is trimmed to what is missing.
"""

from __future__ import annotations

import math

import numpy as np

from stages.maskfeat.target_spec import CubeMask, FrameMask, Grid, Mask

_FLATTEST = 0.3
"""Least ratio of a block's sides in space; the greatest is its inverse."""
_CUBE_TRIALS, _TUBE_TRIALS = 100, 10
"""Trials to place one block, in clips and in pictures."""
_SMALLEST = 5
"""The smallest area drawn is this part of the greatest."""


def draw_mask(spec: Mask, grid: Grid, rng: np.random.Generator) -> np.ndarray:
    """The mask of one clip on ``grid``: time steps, rows, columns."""
    times, rows, columns = grid
    asked = spec.asked(grid)
    if isinstance(spec, FrameMask):
        return frame_mask(grid, asked // (rows * columns), rng)
    if isinstance(spec, CubeMask):
        return exact_blocks(grid, asked, rng) if spec.sampler == "exact" else faithful_cubes(grid, asked, rng)
    flat, inside = (1, rows, columns), asked // times
    tube = (
        exact_blocks(flat, inside, rng)
        if spec.sampler == "exact"
        else faithful_areas((rows, columns), inside, rng)[None]
    )
    return np.repeat(tube, times, axis=0)


def frame_mask(grid: Grid, steps: int, rng: np.random.Generator) -> np.ndarray:
    """``steps`` whole time steps."""
    mask = np.zeros(grid, bool)
    mask[rng.choice(grid[0], steps, replace=False)] = True
    return mask


def faithful_cubes(grid: Grid, asked: int, rng: np.random.Generator) -> np.ndarray:
    """At most ``asked`` cells in blocks of any duration; the area is drawn up to the whole picture at every trial."""
    times, rows, columns = grid
    area = rows * columns
    mask = np.zeros(grid, bool)
    missing = asked
    while missing > 0:
        for size, shape, duration, *place in rng.random((_CUBE_TRIALS, 6)).tolist():
            height, width = _sides(_between(area // _SMALLEST, area, size), shape)
            length = 1 + int(times * duration)
            if height >= rows or width >= columns:
                continue
            first, top, left = (int((n - b + 1) * u) for n, b, u in zip(grid, (length, height, width), place))
            block = mask[first : first + length, top : top + height, left : left + width]
            new = block.size - np.count_nonzero(block)
            if 0 < new <= missing:
                block[:] = True
                missing -= new
                break
        else:
            break
    return mask


def faithful_areas(grid: tuple[int, int], asked: int, rng: np.random.Generator) -> np.ndarray:
    """At most ``asked`` cells of one picture, bool [H', W']; the area is drawn up to what is missing (as in BEiT)."""
    rows, columns = grid
    mask = np.zeros(grid, bool)
    missing = asked
    while missing > 0:
        for size, shape, *place in rng.random((_TUBE_TRIALS, 4)).tolist():
            height, width = _sides(
                _between(asked // _SMALLEST, missing, size), shape
            )  # less may be missing than the smallest
            if height >= rows or width >= columns:
                continue
            top, left = (int((n - b + 1) * u) for n, b, u in zip(grid, (height, width), place))
            block = mask[top : top + height, left : left + width]
            new = block.size - np.count_nonzero(block)
            if 0 < new <= missing:
                block[:] = True
                missing -= new
                break
        else:
            break
    return mask


def exact_blocks(grid: Grid, asked: int, rng: np.random.Generator) -> np.ndarray:
    """Exactly ``asked`` cells in blocks of any duration, each cell of the grid equally likely to lie in a block.

    A block of side b has, on an axis of n cells, one of n + b - 1 places of which b cover any given cell.
    """
    times, rows, columns = grid
    area = rows * columns
    mask = np.zeros(grid, bool)
    missing = asked
    while missing > 0:
        size, shape, duration, *place = rng.random(6).tolist()
        height, width = _sides(_between(max(area // _SMALLEST, 1), area, size), shape)
        block = (1 + int(times * duration), min(max(height, 1), rows), min(max(width, 1), columns))
        starts = [1 - b + int((n + b - 1) * u) for n, b, u in zip(grid, block, place)]
        inside = tuple(slice(max(start, 0), start + b) for start, b in zip(starts, block))
        new = np.argwhere(~mask[inside])
        if len(new) > missing:  # goes on from one of its sides, drawn by lot, as far as it may
            new = new[
                np.lexsort([sign * new[:, axis] for axis, sign in zip(rng.permutation(3), rng.choice([-1, 1], 3))])
            ]
        chosen = new[:missing] + [part.start for part in inside]
        mask[tuple(chosen.T)] = True
        missing -= len(chosen)
    return mask


def coverage(spec: Mask, grid: Grid, draws: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """How often each cell is masked, float64 [T', H', W'], and how many cells each of the masks has, int64 [draws]."""
    often, counts = np.zeros(grid), np.zeros(draws, np.int64)
    for i in range(draws):
        mask = draw_mask(spec, grid, rng)
        often += mask
        counts[i] = mask.sum()
    return often / draws, counts


def _sides(area: float, shape: float) -> tuple[int, int]:
    """Height and width of a block of about ``area`` cells; their ratio is as likely above 1 as below. shape: 0 to 1."""
    ratio = math.exp(_between(math.log(_FLATTEST), -math.log(_FLATTEST), shape))
    return round(math.sqrt(area * ratio)), round(math.sqrt(area / ratio))


def _between(low: float, high: float, part: float) -> float:
    return low + (high - low) * part
