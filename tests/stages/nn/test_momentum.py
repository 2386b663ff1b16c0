"""The momentum encoder, and batches in groups."""

from __future__ import annotations

import torch
from torch import nn

from stages.nn.momentum import in_groups, in_shuffled_groups, momentum_copy, momentum_update


class GroupMean(nn.Module):
    """Adds the mean of the batch to each entry, as BatchNorm's statistics would leak it; notes what it was given."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[list[float]] = []

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.seen.append(x.flatten().tolist())
        return x + 100 * x.mean()


def test_update_by_hand():
    network = nn.Linear(1, 1)
    slow = momentum_copy(network)
    with torch.no_grad():
        slow.weight.fill_(1.0)
        network.weight.fill_(3.0)
    momentum_update(slow, network, 0.75)
    assert slow.weight.item() == 0.75 * 1 + 0.25 * 3
    assert network.weight.item() == 3 and not slow.weight.requires_grad


def test_the_copy_has_statistics_of_its_own():
    network = nn.BatchNorm1d(2)
    slow = momentum_copy(network)
    network(torch.randn(4, 2) + 5)
    momentum_update(slow, network, 0.5)
    assert slow.training and torch.equal(slow.running_mean, torch.zeros(2))


def test_groups_have_statistics_of_their_own():
    x = torch.arange(4.0)[:, None]
    assert in_groups(GroupMean(), x, 1).flatten().tolist() == [150, 151, 152, 153]
    assert in_groups(GroupMean(), x, 2).flatten().tolist() == [50, 51, 252, 253]


def test_shuffled_groups_come_back_in_order_with_other_companions():
    x, network = torch.arange(32.0)[:, None], GroupMean()
    torch.manual_seed(0)
    out = in_shuffled_groups(network, x, 2)
    assert [len(s) for s in network.seen] == [16, 16]
    assert sorted(network.seen[0]) != list(range(16))
    for group in network.seen:
        mean = sum(group) / 16
        assert all(abs(out[int(v), 0] - (v + 100 * mean)) < 1e-2 for v in group)
