"""BatchNorm that stays as it is while the rest trains."""

from __future__ import annotations

import torch
from torch import nn

from stages.nn.frozen_norm import freeze_norms, frozen_norms, moving_norms


def network() -> nn.Sequential:
    torch.manual_seed(0)
    inner = nn.Sequential(nn.Linear(5, 5), nn.BatchNorm2d(4))
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Dropout(0.5), inner)


def test_statistics_do_not_move_and_weights_learn():
    net = network()
    pixels = 3 + torch.randn(2, 3, 7, 7)
    freeze_norms(net)
    net(pixels).sum().backward()
    assert torch.equal(net[1].running_mean, torch.zeros(4))
    assert net[1].weight.grad is not None
    assert net[2].training
    net.train()
    net(pixels)
    assert not torch.equal(net[1].running_mean, torch.zeros(4))


def test_scale_and_shift_can_be_frozen_too():
    net = network()
    freeze_norms(net, affine=True)
    learn = {name for name, weight in net.named_parameters() if weight.requires_grad}
    assert learn == {"0.weight", "0.bias", "3.0.weight", "3.0.bias"}


def test_each_norm_is_afterwards_as_it_was():
    net = network()
    net[1].eval()
    assert moving_norms(net) == ["3.1"]
    try:
        with frozen_norms(net):
            assert moving_norms(net) == []
            raise KeyError
    except KeyError:
        pass
    assert (net[1].training, net[3][1].training) == (False, True)


def test_a_norm_without_statistics_of_its_own_always_takes_the_batchs():
    assert moving_norms(nn.Sequential(nn.BatchNorm1d(3, track_running_stats=False)).eval()) == ["0"]
