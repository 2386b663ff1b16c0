"""What the embedding looks like: whether positives lie close, whether all of space is used, whether it collapses."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional as F


def alignment(queries: Tensor, keys: Tensor) -> float:
    """Mean squared distance of positive pairs (Wang and Isola 2020, alpha = 2); 0 is perfect. Both [N, D], unit length."""
    return float((queries.float() - keys.float()).square().sum(1).mean())


def uniformity(points: Tensor, t: float = 2.0) -> float:
    """Log of the mean Gaussian potential of all pairs (Wang and Isola 2020); 0 for one point, lower is more uniform.

    points: [N, D], unit length, N >= 2.
    """
    potentials = -t * F.pdist(points.float()).square()
    return float(potentials.logsumexp(0)) - math.log(len(potentials))


def effective_rank(points: Tensor) -> float:
    """exp of the entropy of the singular values' shares (Roy and Vetterli 2007): 1 for a line, at most min(N, D).

    points: [N, D], not all zero. Not centred, so that a collapse to one point shows as 1.
    """
    values = torch.linalg.svdvals(points.float())
    shares = values / values.sum()
    return float(torch.special.entr(shares).sum().exp())


def spread(points: Tensor) -> float:
    """Standard deviation of the coordinates, over that of uniform unit vectors: near 1 when healthy, 0 when collapsed.

    points: [N, D], unit length, N >= 2.
    """
    return float(points.float().std(0, correction=0).mean()) * math.sqrt(points.shape[1])
