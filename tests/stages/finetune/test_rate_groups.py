"""Learning rates of encoder and linear layer."""

from __future__ import annotations

import pytest
import torch

from stages.classify.classifier import Classifier
from stages.finetune.groups import parameter_groups, scale_rates
from stages.finetune.spec import FinetuneSchedule
from stages.nn.encoders import build_encoder
from stages.nn.optim import optimizer
from stages.nn.spec import Narrow


def classifier() -> Classifier:
    return Classifier(build_encoder(Narrow(kind="narrow", width=4), 3, seed=0), 3, 0.9, 1)


def test_every_parameter_is_in_one_group_and_the_encoder_has_its_own_rate():
    network = classifier()
    optim = optimizer(FinetuneSchedule(), parameter_groups(network, 1e-3, 1e-4))
    assert scale_rates(optim, 1.0) == {"learning_rate": 1e-3, "backbone_learning_rate": 1e-4}
    rates = {id(p): group["lr"] for group in optim.param_groups for p in group["params"]}
    assert len(rates) == len(list(network.parameters()))
    for name, parameter in network.named_parameters():
        assert rates[id(parameter)] == (1e-4 if name.startswith("encoder.") else 1e-3), name
    assert [group["weight_decay"] for group in optim.param_groups] == [1e-3, 1e-3]


def test_a_decay_holds_for_both_and_adds_nothing_up():
    optim = optimizer(FinetuneSchedule(), parameter_groups(classifier(), 1e-3, 1e-4))
    for _ in range(3):
        rates = scale_rates(optim, 0.1)
    assert rates == {"learning_rate": pytest.approx(1e-4), "backbone_learning_rate": pytest.approx(1e-5)}


def test_first_steps_are_as_long_as_the_rates():
    """Adam's first step moves every weight by its learning rate, whatever the gradient."""
    network = classifier()
    optim = optimizer(FinetuneSchedule(weight_decay=0.0), parameter_groups(network, 1e-2, 1e-4))
    scale_rates(optim, 1.0)
    before = {name: p.detach().clone() for name, p in network.named_parameters()}
    network.eval()(
        torch.linspace(-1, 1, 4 * 3 * 2 * 256).sin().view(4, 3, 2, 16, 16)
    ).square().sum().backward()
    optim.step()
    for name, rate in (("linear.weight", 1e-2), ("encoder.body.0.0.weight", 1e-4)):
        moved = (dict(network.named_parameters())[name].detach() - before[name]).abs()
        assert moved.max().item() == pytest.approx(rate, rel=1e-2), name


def test_rates_go_into_checkpoints_with_the_optimiser():
    optim = optimizer(FinetuneSchedule(), parameter_groups(classifier(), 1e-3, 1e-4))
    saved = optim.state_dict()
    other = optimizer(FinetuneSchedule(), parameter_groups(classifier(), 5.0, 6.0))
    other.load_state_dict(saved)
    assert scale_rates(other, 1.0) == {"learning_rate": 1e-3, "backbone_learning_rate": 1e-4}
