"""What a contrastive training reports of itself."""

from __future__ import annotations

import math

import pytest
import torch
from torch.nn import functional as F

from engine.errors import UserError
from stages.nn.monitor import ContrastMonitor, own_key_top1, similarities
from stages.nn.queue import KeyQueue


def test_similarities_and_top1_by_hand():
    cosines = torch.tensor([[0.9, 0.5, 0.1, 1.0], [0.2, 0.4, 0.6, 1.0]])
    positives = torch.tensor([[1, 0, 0, 0], [1, 1, 0, 0]], dtype=torch.bool)
    valid = torch.tensor([1, 1, 1, 0], dtype=torch.bool)
    positive, negative = similarities(cosines / 0.1, positives, valid, 0.1)
    assert positive.item() == pytest.approx((0.9 + 0.2 + 0.4) / 3)
    assert negative.item() == pytest.approx((0.5 + 0.1 + 0.6) / 3)
    assert own_key_top1(cosines, valid).item() == 0.5


def test_without_negatives_their_similarity_is_zero():
    positives = torch.tensor([[True, False]])
    assert similarities(torch.ones(1, 2), positives, torch.tensor([True, False]), 1.0)[1].item() == 0


class Told:
    """A context that keeps what it is told."""

    device = torch.device("cpu")

    def __init__(self) -> None:
        self.rows: dict[int, dict[str, float]] = {}
        self.warnings: list[str] = []

    def log(self, step, **metrics) -> None:
        self.rows.setdefault(step, {}).update(metrics)

    def warn(self, message) -> None:
        self.warnings.append(message)


def feed(monitor: ContrastMonitor, step: int, loss: float, points: torch.Tensor, queue: KeyQueue) -> None:
    logits, positives = torch.zeros(4, 1), torch.ones(4, 1, dtype=torch.bool)
    queue.put(points, torch.zeros(4, dtype=torch.int64), torch.zeros(4, dtype=torch.int64))
    valid = torch.ones(1, dtype=torch.bool)
    monitor.after(step, torch.tensor(loss), logits, positives, valid, points, points, queue, 0.1)


def points(seed: int) -> torch.Tensor:
    return F.normalize(torch.randn(4, 8, generator=torch.Generator().manual_seed(seed)), dim=1)


@pytest.mark.parametrize("total, keep", [(2000, 0.98), (80, 0.75), (3, 0.0)])
def test_losses_are_smoothed_over_a_twentieth_of_the_training_without_a_bias_to_zero(total, keep):
    told = Told()
    monitor, queue = ContrastMonitor(told, total, 0.07), KeyQueue(8, 8)
    monitor._every = 1
    for step, loss in enumerate((2.0, 4.0, 8.0)):
        feed(monitor, step, loss, points(step), queue)
    weights = [keep**2, keep, 1]
    assert told.rows[1]["loss"] == pytest.approx(2.0)
    assert told.rows[3]["loss"] == pytest.approx((2 * weights[0] + 4 * weights[1] + 8) / sum(weights), rel=1e-5)
    assert told.rows[3]["queue_fill"] == 1.0 and told.rows[3]["learning_rate"] == 0.1
    assert told.warnings == []


def test_its_state_goes_on(tmp_path):
    told, again = Told(), Told()
    whole, queue = ContrastMonitor(told, 4, 0.07), KeyQueue(8, 8)
    for step in range(2):
        feed(whole, step, 1.0 + step, points(step), queue)
    torch.save(whole.state_dict(), tmp_path / "monitor.pt")
    resumed = ContrastMonitor(again, 4, 0.07)
    resumed.load_state_dict(torch.load(tmp_path / "monitor.pt", weights_only=True))
    for monitor in (whole, resumed):
        copy = KeyQueue(8, 8)
        copy.load_state_dict(queue.state_dict())
        feed(monitor, 3, 7.0, points(3), copy)
    assert again.rows[4] == told.rows[4]
    assert resumed.metrics == whole.metrics


@pytest.mark.parametrize("loss", [math.nan, math.inf])
def test_a_broken_loss_is_an_error_with_advice(loss):
    with pytest.raises(UserError, match=f"the loss became {loss} by step 1: lower schedule.lr"):
        feed(ContrastMonitor(Told(), 5, 0.07), 0, loss, points(0), KeyQueue(8, 8))


def test_a_collapse_is_said_once():
    told = Told()
    monitor, queue = ContrastMonitor(told, 6, 0.07), KeyQueue(8, 8)
    for step in range(6):
        feed(monitor, step, 1.0, points(0)[:1].expand(4, 8), queue)
    assert len(told.warnings) == 1 and "step 2: the embedding has collapsed" in told.warnings[0]
