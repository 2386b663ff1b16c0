"""G-TAD's loss (Xu et al., CVPR 2020, section 3, with the thresholds of the public code), in two steps.

``targets`` turns labels into the weight of each position and cell, all counts and random choices done; ``gtad_loss``
is then a weighted sum over positions. So a batch may go through the network in parts: the losses of the parts, with
the targets of the whole batch taken apart, add up to that of the whole. Where there is no positive, no negative or no
cell of a band, that side of its term is zero, and the loss stays finite.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from stages.tal.gtad import HeadOutput
from stages.tal.head_spec import HeadLoss
from stages.tal.label_maps import valid_mask

OFFSET = 1e-6
"""Added to a probability before its logarithm."""


class LogWeights(NamedTuple):
    """Weights of -log(p) and of -log(1 - p), float32, of the shape of p."""

    positive: Tensor
    negative: Tensor

    def loss(self, probability: Tensor) -> Tensor:
        """The weighted sum, a float32 scalar."""
        probability = probability.float()
        hit = self.positive * (probability + OFFSET).log()
        miss = self.negative * (1 - probability + OFFSET).log()
        return -(hit.sum() + miss.sum())


@dataclass(frozen=True)
class Targets:
    """What the loss asks of a batch of B videos. start, end: [B, L]; classification, iou, regression: [B, L, L].

    regression: weight of the squared error of a cell against ``iou``.
    """

    start: LogWeights
    end: LogWeights
    classification: LogWeights
    iou: Tensor
    regression: Tensor

    def of_videos(self, first: int, last: int) -> Targets:
        """Those of videos ``first`` to ``last`` - 1 of the batch, with the weights that they have in it."""
        return self._each(lambda part: part[first:last])

    def to(self, device: torch.device) -> Targets:
        """The same on another device."""
        return self._each(lambda part: part.to(device, non_blocking=True))

    def _each(self, change: Callable[[Tensor], Tensor]) -> Targets:
        start, end, classification = (
            LogWeights(*map(change, weights)) for weights in (self.start, self.end, self.classification)
        )
        return Targets(start, end, classification, change(self.iou), change(self.regression))


class HeadLosses(NamedTuple):
    """Scalars: the terms, unweighted, and their weighted sum."""

    total: Tensor
    node: Tensor
    classification: Tensor
    regression: Tensor


def targets(start: Tensor, end: Tensor, iou: Tensor, spec: HeadLoss, generator: torch.Generator) -> Targets:
    """Targets of a batch from its labels (see ``label_maps``): start and end [B, L], iou [B, L, L].

    generator: draws the cells of regression's lower bands. With labels and generator on the CPU, the choice is the same
    whatever the device of the network.
    """
    iou = iou.float()
    valid = torch.from_numpy(valid_mask(iou.shape[-1])).to(iou.device).expand_as(iou)
    everywhere = torch.ones_like(start, dtype=torch.bool)
    return Targets(
        start=balanced(start > spec.boundary, everywhere),
        end=balanced(end > spec.boundary, everywhere),
        classification=balanced((iou > spec.positive) & valid, valid),
        iou=iou,
        regression=regression_weights(iou, valid, spec, generator),
    )


def gtad_loss(output: HeadOutput, wanted: Targets, spec: HeadLoss) -> HeadLosses:
    """node * (start + end) + classification * ... + regression * ..., with the weights of ``spec``."""
    node = wanted.start.loss(output.start) + wanted.end.loss(output.end)
    classification = wanted.classification.loss(output.confidence[:, 1])
    regression = (wanted.regression * (output.confidence[:, 0].float() - wanted.iou).square()).sum()
    total = spec.node * node + spec.classification * classification + spec.regression * regression
    return HeadLosses(total, node, classification, regression)


def balanced(positive: Tensor, counted: Tensor) -> LogWeights:
    """The balanced log loss: half the mean over positives plus half the mean over the other counted positions.

    positive, counted: bool of one shape, the first within the second.
    """
    negative = counted & ~positive
    return LogWeights(_mean_weights(positive) / 2, _mean_weights(negative) / 2)


def regression_weights(iou: Tensor, valid: Tensor, spec: HeadLoss, generator: torch.Generator) -> Tensor:
    """Weights of half the mean squared error over chosen cells: all high ones and about as many of either lower band.

    Cells above ``spec.high`` are all taken; those in (low, high] and in (0, low] each with the probability that makes
    them as many as the high ones on average, or all when they are fewer. Cells of IoU 0 never count. Shape of
    ``iou``.
    """
    high = valid & (iou > spec.high)
    middle = valid & (iou > spec.low) & ~high
    low = valid & (iou > 0) & (iou <= spec.low)
    drawn = torch.rand(iou.shape, generator=generator, device=generator.device).to(iou.device)
    wanted = high.sum()
    chosen = high
    for band in (middle, low):
        chosen = chosen | (band & (drawn < wanted / band.sum().clamp(min=1)))
    return _mean_weights(chosen) / 2


def _mean_weights(chosen: Tensor) -> Tensor:
    """1 / n at the n chosen places, 0 elsewhere, also when there are none."""
    return chosen.float() / chosen.sum().clamp(min=1)
