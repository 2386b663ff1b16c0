"""Curves of a supervised training."""

from __future__ import annotations

import pytest
import torch

from engine.errors import UserError
from stages.finetune import monitor as module
from stages.finetune.monitor import TrainingMonitor

RIGHT, WRONG = torch.tensor([[0.0, 1.0]]), torch.tensor([[1.0, 0.0]])
LABEL = torch.tensor([1])


def test_points_are_means_since_the_point_before(make_context, monkeypatch):
    monkeypatch.setattr(module, "POINTS", 2)
    context = make_context()
    monitor = TrainingMonitor(context, 6)
    for step, (loss, logits) in enumerate(
        [(9, WRONG), (1, RIGHT), (3, WRONG), (4, RIGHT), (5, RIGHT), (6, RIGHT)]
    ):
        monitor.after(step, torch.tensor(float(loss)), logits, LABEL, {"learning_rate": 0.1 * step})
    points = context.curves_state()
    assert [step for step, _ in points] == [1, 3, 6]
    assert [p["loss"] for _, p in points] == [9, 2, 5]
    assert [p["augmented_top1"] for _, p in points] == [0, 0.5, 1]
    assert points[-1][1]["learning_rate"] == 0.5
    assert monitor.metrics == points[-1][1]


def test_a_stop_between_two_points_changes_nothing(make_context, monkeypatch):
    monkeypatch.setattr(module, "POINTS", 1)
    first = TrainingMonitor(make_context(), 3)
    first.after(0, torch.tensor(7.0), RIGHT, LABEL, {})
    first.after(1, torch.tensor(1.0), RIGHT, LABEL, {})
    later = TrainingMonitor(make_context(), 3)
    later.load_state_dict(first.state_dict())
    later.after(2, torch.tensor(2.0), WRONG, LABEL, {})
    assert later.metrics == {"loss": 1.5, "augmented_top1": 0.5}


def test_a_loss_that_is_no_number_ends_it_with_advice(make_context):
    monitor = TrainingMonitor(make_context(), 3)
    with pytest.raises(UserError, match="nan by step 1: lower schedule.lr .*now 0.1"):
        monitor.after(0, torch.tensor(float("nan")), RIGHT, LABEL, {"learning_rate": 0.1})
