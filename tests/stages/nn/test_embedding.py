"""Measures of an embedding on points whose answer is known."""

from __future__ import annotations

import math

import pytest
import torch
from torch.nn import functional as F

from stages.nn.embedding import alignment, effective_rank, spread, uniformity


def unit(n: int, d: int) -> torch.Tensor:
    return F.normalize(torch.randn(n, d, generator=torch.Generator().manual_seed(0)), dim=1)


def test_alignment_is_the_mean_squared_distance():
    a = torch.tensor([[1.0, 0.0], [0.0, 1.0]])
    b = torch.tensor([[1.0, 0.0], [0.0, -1.0]])
    assert alignment(a, b) == pytest.approx((0 + 4) / 2)


def test_uniformity_by_a_loop_over_pairs():
    points = unit(7, 4)
    pairs = [math.exp(-2 * float((points[i] - points[j]).square().sum())) for i in range(7) for j in range(i)]
    assert uniformity(points) == pytest.approx(math.log(sum(pairs) / len(pairs)), rel=1e-5)
    assert uniformity(points[:1].expand(5, 4)) == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize("rank", [1, 2, 5])
def test_effective_rank_counts_equal_directions(rank):
    points = torch.eye(rank, 8).repeat(3, 1)
    assert effective_rank(points) == pytest.approx(rank, rel=1e-5)


def test_effective_rank_by_hand():
    # singular values 3 and 1: shares 3/4 and 1/4
    entropy = -(0.75 * math.log(0.75) + 0.25 * math.log(0.25))
    assert effective_rank(torch.tensor([[3.0, 0.0], [0.0, 1.0]])) == pytest.approx(math.exp(entropy))


def test_spread_is_near_one_on_the_sphere_and_zero_in_a_point():
    assert spread(unit(4000, 64)) == pytest.approx(1, abs=0.02)
    assert spread(unit(1, 64).expand(10, 64)) == pytest.approx(0, abs=1e-6)
    assert spread(torch.tensor([[1.0, 0.0], [-1.0, 0.0]])) == pytest.approx(math.sqrt(2) / 2)
