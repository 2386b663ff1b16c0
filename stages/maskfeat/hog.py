"""Histograms of oriented gradients of batches of pictures, as the target of MaskFeat (Wei et al. 2022, section 3.2).

Votes are hard: a pixel gives the length of its gradient to one bin of one cell. The bin is found without an angle:
cot(angle) = cos / sin is one division, does not change when the gradient turns round, and falls from bin to bin.

On a CPU one compiled pass does everything while a row is in the cache; elsewhere the same is done by whole-batch
operations, without a scatter, so that equal inputs give equal bits. Gradients are differences of rows and columns
rather than convolutions: nothing is rounded to TF32, and equal neighbours cancel exactly. Both forms round alike up to
the sums of votes, so that a pixel on the edge of two bins goes to the same one.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import pad

from stages.maskfeat.target_spec import Hog

_SMOOTHING = {"sobel": (1.0, 2.0), "central": (0.0, 1.0)}
"""Weights across the direction of the difference: of the two neighbours, and of the pixel itself."""


@torch.no_grad()
def hog(pictures: Tensor, spec: Hog = Hog()) -> Tensor:
    """Each plane [H, W] by itself, mirrored at its borders: [..., H, W] -> [..., bins, H // cell, W // cell].

    pictures: any real numbers. Each cell is scaled to length 1 (to less where it is flatter than ``spec.floor``);
    pixels beyond the last whole cell vote nowhere. Returns float64 for float64, else float32, also inside autocast.
    Raises ValueError when there is no whole cell, or the Gaussian window does not tile the picture.
    """
    *lead, height, width = pictures.shape
    if min(height, width) < spec.cell:
        raise ValueError(f"pictures of {height} x {width} pixels have no whole cell of {spec.cell}")
    if spec.gaussian_window and (height % spec.gaussian_window or width % spec.gaussian_window):
        raise ValueError(f"gaussian_window of {spec.gaussian_window} does not tile {height} x {width} pixels")
    with torch.autocast(pictures.device.type, enabled=False):
        exact = pictures if pictures.dtype == torch.float64 else pictures.float()
        planes = exact.reshape(-1, height, width)
        cells = hog_compiled(planes, spec) if planes.device.type == "cpu" else hog_batched(planes, spec)
    return cells.view(*lead, *cells.shape[1:])


def hog_batched(planes: Tensor, spec: Hog) -> Tensor:
    """``hog`` by whole-batch operations, for any device: [P, H, W] -> [P, bins, H // cell, W // cell]."""
    votes = votes_batched(planes, spec)
    return votes / torch.linalg.vector_norm(votes, dim=1, keepdim=True).clamp(min=spec.floor)


def votes_batched(planes: Tensor, spec: Hog) -> Tensor:
    """Sums of votes before they are scaled: [P, H, W] -> [P, bins, H // cell, W // cell]."""
    neighbour, own = _SMOOTHING[spec.kernel]
    height, width = planes.shape[1:]
    rows, columns = height // spec.cell, width // spec.cell
    framed = pad(planes, (1, 1, 1, 1), mode="reflect")
    smooth = (framed[:, :-2] + framed[:, 2:]) * neighbour + framed[:, 1:-1] * own
    across = smooth[..., :-2] - smooth[..., 2:]
    slope = framed[:, :-2] - framed[:, 2:]
    down = (slope[..., :-2] + slope[..., 2:]) * neighbour + slope[..., 1:-1] * own

    strength = (across * across + down * down).sqrt()
    if spec.gaussian_window:
        window = torch.from_numpy(gaussian_window(spec.gaussian_window)).to(planes)
        strength = strength * window.repeat(height // len(window), width // len(window))
    cosine, sine = (down, across) if spec.angle == "from_vertical" else (across, down)
    cotangent = torch.where(sine == 0, math.inf, cosine / sine)  # an angle of 180 degrees is one of 0

    strength, cotangent = (x[:, : rows * spec.cell, : columns * spec.cell] for x in (strength, cotangent))
    histograms = planes.new_empty(len(planes), spec.bins, rows, columns)
    edges = bin_edges(spec.bins)
    for number in range(spec.bins):
        inside = (cotangent <= float(edges[number])) & (cotangent > float(edges[number + 1]))
        votes = torch.where(inside, strength, 0.0).view(-1, rows, spec.cell, columns * spec.cell).sum(2)
        histograms[:, number] = votes.view(-1, rows, columns, spec.cell).sum(3)
    return histograms


def bin_edges(bins: int) -> np.ndarray:
    """Cotangents between the bins, float64 [bins + 1], falling: bin k has edges[k] >= cotangent > edges[k + 1]."""
    angles = np.pi * np.arange(1, bins) / bins
    return np.concatenate([[np.inf], np.cos(angles) / np.sin(angles), [-np.inf]])


def gaussian_window(side: int) -> np.ndarray:
    """Weights of votes, float64 [side, side] with mean 1, so that the floor keeps its meaning; one 1 for side 0."""
    if side == 0:
        return np.ones((1, 1))
    offsets = (np.arange(side) - (side - 1) / 2) / max(side // 2, 1)
    profile = np.exp(-0.5 * offsets**2)
    return np.outer(profile, profile) / profile.mean() ** 2


def hog_compiled(planes: Tensor, spec: Hog) -> Tensor:
    """What ``hog_batched`` does, on a CPU, in one pass; the planes are shared out to torch's number of threads."""
    planes = planes.contiguous()
    height, width = planes.shape[1:]
    histograms = planes.new_empty(len(planes), spec.bins, height // spec.cell, width // spec.cell)
    number = planes.numpy().dtype.type
    window = gaussian_window(spec.gaussian_window)
    weights = np.tile(window, (1, -(-width // len(window))))[:, :width].astype(number)
    neighbour, own = (number(weight) for weight in _SMOOTHING[spec.kernel])
    edges, from_vertical = bin_edges(spec.bins).astype(number), spec.angle == "from_vertical"

    def work(part: Tensor, out: Tensor) -> None:
        _compiled()(
            part.numpy(), neighbour, own, from_vertical, weights, edges, spec.cell, number(spec.floor), out.numpy()
        )

    threads = min(torch.get_num_threads(), len(planes))
    if threads > 1:
        with ThreadPoolExecutor(threads) as pool:
            list(pool.map(work, planes.chunk(threads), histograms.chunk(threads)))
    elif threads:
        work(planes, histograms)
    return histograms


@cache
def _compiled() -> Callable[..., Any]:
    """The kernel, compiled once for each dtype and kept beside this file; numba is loaded by those who need it."""
    from numba import njit

    return njit(cache=True, nogil=True, error_model="numpy")(_vote)


def _vote(planes, neighbour, own, from_vertical, weights, edges, cell, floor, histograms):  # type: ignore
    """planes: [P, H, W]; weights: [period, W]; edges: [bins + 1]; histograms: [P, bins, rows, columns], is written.

    All but ``cell`` have the dtype of the planes. Loops over a row hold no branches, so that they become vectors.
    """
    height, width = planes.shape[1:]
    bins, rows, columns = histograms.shape[1:]
    zero, infinity = planes.dtype.type(0), planes.dtype.type(np.inf)
    votes = np.empty((bins, width), planes.dtype)
    smooth, slope = np.empty(width + 2, planes.dtype), np.empty(width + 2, planes.dtype)
    strength, cotangent = np.empty(width, planes.dtype), np.empty(width, planes.dtype)
    for plane in range(planes.shape[0]):
        for row in range(rows):
            votes[:] = zero
            for y in range(row * cell, (row + 1) * cell):
                above, here = planes[plane, abs(y - 1)], planes[plane, y]
                below = planes[plane, y + 1 if y + 1 < height else height - 2]
                weight = weights[y % weights.shape[0]]
                for x in range(width):
                    smooth[x + 1] = (above[x] + below[x]) * neighbour + here[x] * own
                    slope[x + 1] = above[x] - below[x]
                smooth[0], smooth[width + 1] = smooth[2], smooth[width - 1]
                slope[0], slope[width + 1] = slope[2], slope[width - 1]
                for x in range(width):
                    across = smooth[x] - smooth[x + 2]
                    down = (slope[x] + slope[x + 2]) * neighbour + slope[x + 1] * own
                    strength[x] = np.sqrt(across * across + down * down) * weight[x]
                    cosine = down if from_vertical else across
                    sine = across if from_vertical else down
                    ratio = cosine / sine
                    cotangent[x] = infinity if sine == zero else ratio
                for number in range(bins):
                    high, low, line = edges[number], edges[number + 1], votes[number]
                    for x in range(width):
                        line[x] += strength[x] if (cotangent[x] <= high) & (cotangent[x] > low) else zero
            for column in range(columns):
                squares = zero
                for number in range(bins):
                    total = zero
                    for x in range(column * cell, (column + 1) * cell):
                        total += votes[number, x]
                    histograms[plane, number, row, column] = total
                    squares += total * total
                length = max(np.sqrt(squares), floor)
                for number in range(bins):
                    histograms[plane, number, row, column] /= length
