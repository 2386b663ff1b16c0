"""Learning rates by hand, and optimisers that are what the schedule says."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, strategies as st

from stages.nn.optim import learning_rate, optimizer, set_learning_rate
from stages.nn.spec import Schedule


def rates(schedule: Schedule, per_epoch: int) -> list[float]:
    return [learning_rate(schedule, step, per_epoch) for step in range(schedule.epochs * per_epoch)]


def test_the_papers_steps_fall_on_epochs_250_and_280():
    schedule = Schedule(epochs=300, lr=1e-3)
    by_epoch = [learning_rate(schedule, epoch * 149, 149) for epoch in range(300)]
    assert by_epoch[:250] == [1e-3] * 250
    assert by_epoch[250:280] == pytest.approx([1e-4] * 30)
    assert by_epoch[280:] == pytest.approx([1e-5] * 20)
    assert learning_rate(schedule, 250 * 149 - 1, 149) == 1e-3


def test_warm_up_and_cosine_by_hand():
    found = rates(Schedule(epochs=4, lr=0.8, decay="cosine", warmup_epochs=1), 2)
    cosine = [0.4 * (1 + math.cos(math.pi * i / 6)) for i in range(6)]
    assert found == pytest.approx([0.4, 0.8, *cosine])


def test_no_decay():
    assert rates(Schedule(epochs=2, lr=0.5, decay="none"), 2) == [0.5] * 4


@given(
    st.integers(1, 20),
    st.integers(1, 9),
    st.floats(0, 25),
    st.sampled_from(["step", "cosine", "none"]),
)
def test_rates_are_positive_rise_once_and_then_never_rise(epochs, per_epoch, warmup, decay):
    schedule = Schedule(epochs=epochs, lr=0.1, decay=decay, warmup_epochs=warmup, milestones=(0.5, 0.9))
    found = rates(schedule, per_epoch)
    top = found.index(max(found))
    assert all(0 < rate <= 0.1 for rate in found)
    assert found[: top + 1] == sorted(found[: top + 1])
    assert found[top:] == sorted(found[top:], reverse=True)


def test_a_step_of_sgd_by_hand():
    weight = torch.nn.Parameter(torch.tensor([2.0]))
    sgd = optimizer(Schedule(optimizer="sgd", lr=1.0, momentum=0.5, weight_decay=0.1), [weight])
    set_learning_rate(sgd, 0.01)
    for _ in range(2):
        weight.grad = torch.tensor([1.0])
        sgd.step()
    # first: 1 + 0.1 * 2 = 1.2; then the gradient 1 + 0.1 * 1.988 and half of the velocity before
    assert weight.item() == pytest.approx(2 - 0.01 * 1.2 - 0.01 * (0.5 * 1.2 + 1 + 0.1 * 1.988))


@pytest.mark.parametrize("name, decayed", [("adam", False), ("adamw", True)])
def test_adam_couples_weight_decay_and_adamw_does_not(name, decayed):
    weight = torch.nn.Parameter(torch.tensor([2.0]))
    adam = optimizer(Schedule(optimizer=name, lr=0.01, weight_decay=0.5), [weight])
    weight.grad = torch.tensor([3.0])
    adam.step()
    # Adam's first step has the length of the rate whatever the gradient; AdamW also shrinks the weight.
    assert weight.item() == pytest.approx(2 * (1 - 0.01 * 0.5 * decayed) - 0.01)
