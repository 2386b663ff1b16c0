"""The localisation head's parts as plain loops and in the costly form, for tests and benchmarks to compare with."""

from __future__ import annotations

import math
from collections.abc import Sequence
from fractions import Fraction

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from stages.tal.align import window_sampling
from stages.tal.graph import neighbour_mean
from stages.tal.gtad import Gtad, HeadOutput
from stages.tal.label_maps import valid_mask


def plain_bins(values: Sequence[Fraction], duration: int, start: int, bins: int) -> list[Fraction]:
    """What cell (duration, start) samples of a 1-D signal, sample by sample."""
    last = len(values) - 1
    half = Fraction(duration + 1, 2)
    low, high = start - half, start + duration + half
    width = (high - low) / bins
    samples = math.ceil(width)
    found = []
    for number in range(bins):
        total = Fraction(0)
        for sample in range(samples):
            time = low + width * (number + (sample + Fraction(1, 2)) / samples)
            if time < -1 or time > last + 1:
                continue
            time = min(max(time, Fraction(0)), Fraction(last))
            before = math.floor(time)
            after = min(before + 1, last)
            total += values[before] * (1 - (time - before)) + values[after] * (time - before)
        found.append(total / samples)
    return found


def map_sampling(snippets: int, bins: int) -> Tensor:
    """Weights [L, bins * cells]: ``features [C, L] @ weights`` are the features that the valid cells sample."""
    entries = window_sampling(snippets, bins)
    cells = snippets * (snippets + 1) // 2
    time, bin_of = np.divmod(entries.column, bins)
    weights = np.zeros((snippets, bins * cells), np.float32)
    weights[time, bin_of * cells + entries.row] = entries.weight
    return torch.from_numpy(weights)


def map_then_convolution(head: Gtad, features: Tensor, samplings: Sequence[Tensor]) -> HeadOutput:
    """The head with the whole aligned map [B, 9216, L, L] of its graph features in between, zeros at invalid cells.

    samplings: ``map_sampling`` for the bins of features and of context.
    """
    batch, _, snippets = features.shape
    base = head.base(head.stem(features))
    graph = head.graph(base)
    sources = (graph, neighbour_mean(graph, head.align.neighbours))
    places = torch.from_numpy(np.flatnonzero(valid_mask(snippets))).to(features.device)
    maps = []
    for source, sampling, bins in zip(sources, samplings, head.align.bins):
        flat = (source @ sampling).unflatten(2, (bins, -1)).flatten(1, 2)
        whole = flat.new_zeros(batch, flat.shape[1], snippets**2).index_copy(2, places, flat)
        maps.append(whole.unflatten(2, (snippets, snippets)))
    aligned = torch.cat(maps, dim=1)

    inner, context = head.align.weight.split(head.align.bins, dim=1)
    weight = torch.cat([part.permute(2, 0, 1).flatten(1) for part in (inner, context)], dim=1)
    hidden = functional.conv2d(aligned, weight[:, :, None, None], head.align.bias)
    for layer in head.proposals:
        if isinstance(layer, torch.nn.Linear):
            hidden = functional.conv2d(hidden, layer.weight[:, :, None, None], layer.bias)
        else:
            hidden = hidden.relu()
    valid = torch.from_numpy(valid_mask(snippets)).to(features.device)
    curves = (torch.sigmoid(branch(base)).squeeze(1) for branch in (head.start, head.end))
    return HeadOutput(*curves, confidence=hidden.sigmoid() * valid)


def plain_iou(start: float, end: float, other_start: float, other_end: float) -> float:
    overlap = max(0.0, min(end, other_end) - max(start, other_start))
    union = (end - start) + (other_end - other_start) - overlap
    return overlap / union if union > 0 else 0.0


def plain_soft_nms(
    rows: Sequence[tuple[float, float, float]], sigma: float, top: int, parity: bool
) -> list[tuple[float, float, float]]:
    """(start, end, score) rows, a list that shrinks by its best."""
    left, kept = [list(row) for row in rows], []
    while len(left) > (1 if parity else 0) and len(kept) < top:
        best = left.pop(max(range(len(left)), key=lambda row: left[row][2]))
        kept.append((best[0], best[1], best[2]))
        for row in left:
            row[2] *= math.exp(-(plain_iou(best[0], best[1], row[0], row[1]) ** 2) / sigma)
    return kept
