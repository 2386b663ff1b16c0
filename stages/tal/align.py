"""SGAlign and the convolution after it: every proposal of a video samples its window of the 1-D features.

G-TAD (Xu et al., CVPR 2020), section 3. A proposal has 36 bins of 256 channels, so that the map of all of them has
9216 channels. The 1x1 convolution after it is linear in each bin, and so is sampling: each bin's part of the
convolution is taken from the L snippets first, and proposals then sample and add up its results. The 9216-channel map
never exists.

Cell (d, s) stands for the d + 1 snippets from s on; it is valid if s + d < L. Valid cells are numbered by d, then s.
"""

from __future__ import annotations

from math import sqrt
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from stages.tal.graph import neighbour_mean
from stages.tal.label_maps import valid_cells


class Entries(NamedTuple):
    """A sparse matrix [cells, L * bins] by its entries, in the order of row, then column."""

    row: NDArray[np.int64]
    column: NDArray[np.int64]
    weight: NDArray[np.float64]


def window_sampling(snippets: int, bins: int) -> Entries:
    """How the valid cells of L ``snippets`` sample: snippet t has its weight in bin r of a cell in column t * bins + r.

    With snippet i at time i, cell (d, s) samples [s - (d + 1) / 2, s + d + (d + 1) / 2]: its snippets and half of
    their number on both sides. The window has ``bins`` equal bins; a bin is the mean of ceil(length / bins) evenly
    spaced, linearly interpolated samples (1-D RoIAlign). Times within one snippet of the video take its nearest
    snippet, others give 0.
    """
    parts = []
    first_row = 0
    for duration in range(snippets):
        starts = np.arange(snippets - duration)
        length = 2 * duration + 1
        samples = -(-length // bins)
        # Times are whole multiples of 1 / unit, so that no rounding decides what is inside, on any machine.
        unit = 2 * bins * samples
        steps = length * (2 * np.arange(bins * samples) + 1)
        time = (2 * starts - duration - 1)[:, None] * (bins * samples) + steps
        inside = (time >= -unit) & (time <= snippets * unit)
        time = time.clip(0, (snippets - 1) * unit)
        before, rest = np.divmod(time, unit)
        after = np.minimum(before + 1, snippets - 1)
        later = rest / unit / samples  # 0 where the time was clipped
        earlier = (unit - rest) / unit / samples * inside

        row = np.broadcast_to(starts[:, None], time.shape)
        bin_of = np.broadcast_to(np.arange(bins * samples) // samples, time.shape)
        columns = snippets * bins
        places = np.concatenate([((row * columns) + t * bins + bin_of).ravel() for t in (before, after)])
        weights = np.concatenate([earlier.ravel(), later.ravel()])
        places, which = np.unique(places[weights > 0], return_inverse=True)
        weights = np.bincount(which, weights[weights > 0], len(places))
        parts.append(Entries(first_row + places // columns, places % columns, weights))
        first_row += len(starts)
    return Entries(*(np.concatenate(column) for column in zip(*parts)))


def side_by_side(left: Entries, right: Entries, bins: tuple[int, int]) -> Entries:
    """One matrix whose snippets have the bins of ``left``, then those of ``right``, which have ``bins`` bins."""
    total = sum(bins)
    columns = [
        matrix.column // count * total + first + matrix.column % count
        for matrix, count, first in ((left, bins[0], 0), (right, bins[1], bins[0]))
    ]
    row, column = np.concatenate([left.row, right.row]), np.concatenate(columns)
    order = np.lexsort((column, row))
    return Entries(row[order], column[order], np.concatenate([left.weight, right.weight])[order])


class Bags(NamedTuple):
    """The rows of a sparse matrix for ``embedding_bag``: row i has the entries offsets[i] to offsets[i + 1]."""

    columns: Tensor
    offsets: Tensor
    weights: Tensor

    @classmethod
    def of(cls, entries: Entries, rows: int, device: torch.device) -> Bags:
        """entries: in the order of their rows."""
        offsets = np.concatenate([[0], np.cumsum(np.bincount(entries.row, minlength=rows))])
        arrays = (entries.column.astype(np.int64), offsets.astype(np.int64), entries.weight.astype(np.float32))
        return cls(*(torch.from_numpy(array).to(device) for array in arrays))

    def times(self, table: Tensor) -> Tensor:
        """The matrix times ``table``: float32 [B, columns, D] -> [B, rows, D]. Sums have a fixed order, on CUDA too."""
        return torch.stack(
            [
                functional.embedding_bag(
                    self.columns,
                    part,
                    self.offsets,
                    mode="sum",
                    per_sample_weights=self.weights,
                    include_last_offset=True,
                )
                for part in table
            ]
        )


class Sampling(NamedTuple):
    """A sampling matrix [cells, L * bins] and its transpose, for the gradient."""

    forward: Bags
    backward: Bags

    @classmethod
    def of(cls, entries: Entries, cells: int, columns: int, device: torch.device) -> Sampling:
        order = np.argsort(entries.column, kind="stable")
        transposed = Entries(entries.column[order], entries.row[order], entries.weight[order])
        return cls(Bags.of(entries, cells, device), Bags.of(transposed, columns, device))


class _Sample(torch.autograd.Function):
    """``sampling`` times a table. Keeps nothing for the backward pass, whose sums have a fixed order too."""

    @staticmethod
    def forward(ctx: Any, table: Tensor, sampling: Sampling) -> Tensor:
        ctx.sampling = sampling
        return sampling.forward.times(table)

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        return ctx.sampling.backward.times(gradient.contiguous()), None


class AlignedConv(nn.Module):
    """SGAlign and the 1x1 convolution of its map: graph features [B, C, L] -> [B, cells, out] at valid cells; any L.

    ``weight`` [C, align_bins + context_bins, out] and ``bias`` [out] are those of the convolution, in the order in
    which they are used. The first bins sample the graph features, the others, the context, the mean of each snippet's
    neighbours. The result is float32 also under autocast.
    """

    def __init__(
        self, channels: int, out: int, align_bins: int = 32, context_bins: int = 4, neighbours: int = 3
    ) -> None:
        super().__init__()
        self.bins = (align_bins, context_bins)
        self.neighbours = neighbours
        bound = 1 / sqrt(channels * sum(self.bins))  # of torch's own initial weights of such a convolution
        self.weight = nn.Parameter(torch.empty(channels, sum(self.bins), out).uniform_(-bound, bound))
        self.bias = nn.Parameter(torch.empty(out).uniform_(-bound, bound))
        self._samplings: dict[tuple[int, torch.device], Sampling] = {}

    def forward(self, features: Tensor) -> Tensor:
        batch, _, snippets = features.shape
        sources = (features, neighbour_mean(features, self.neighbours))
        out = self.weight.shape[2]
        weights = self.weight.flatten(1).split([bins * out for bins in self.bins], dim=1)
        parts = [(source.transpose(1, 2) @ weight).float() for source, weight in zip(sources, weights)]
        table = torch.cat(parts, dim=2).view(batch, snippets * sum(self.bins), out)
        return _Sample.apply(table, self._sampling(snippets, features.device)) + self.bias

    def _sampling(self, snippets: int, device: torch.device) -> Sampling:
        if (snippets, device) not in self._samplings:
            entries = side_by_side(*(window_sampling(snippets, bins) for bins in self.bins), self.bins)
            cells = len(valid_cells(snippets)[0])
            self._samplings[snippets, device] = Sampling.of(entries, cells, snippets * sum(self.bins), device)
        return self._samplings[snippets, device]
