"""The choice of an epoch by held-out videos."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import nn

from engine.errors import UserError
from stages.features.spec import Look
from stages.features.windows import WindowBatches
from stages.finetune.selection import BestEpoch, judge
from stages.nn.precision import Numbers
from stages.video.spec import Clip, Rgb
from stages.video.views import ViewReader


def weight(network: nn.Linear) -> float:
    return network.weight.item()


def offered(*results: tuple[float, float]) -> BestEpoch:
    """Offer epochs 1, 2, ... with these accuracies and losses; the weight after epoch n is n."""
    best = BestEpoch(nn.Linear(1, 1))
    for epoch, (accuracy, loss) in enumerate(results, 1):
        with torch.no_grad():
            best.network.weight.fill_(epoch)
        best.offer(epoch, accuracy, loss)
    return best


@pytest.mark.parametrize(
    "results, chosen",
    [
        ([(0.5, 1.0), (0.7, 2.0), (0.6, 0.1)], 2),
        ([(0.5, 1.0), (0.5, 0.9), (0.5, 0.95)], 2),
        ([(0.5, 1.0), (0.5, 1.0)], 1),
        ([(0.0, 9.0)], 1),
    ],
)
def test_the_choice_by_hand(results, chosen):
    best = offered(*results)
    assert (best.epoch, best.accuracy, best.loss) == (chosen, *results[chosen - 1])
    assert weight(best.network) == len(results)
    best.put_back()
    assert weight(best.network) == chosen


def test_it_goes_on_after_a_stop():
    later = BestEpoch(nn.Linear(1, 1))
    later.load_state_dict(offered((0.5, 1.0), (0.9, 1.0), (0.5, 1.0)).state_dict())
    later.offer(4, 0.8, 0.1)
    later.put_back()
    assert (later.epoch, weight(later.network)) == (2, 2)


class Brightness(nn.Module):
    """Logits (0, b) for a clip of mean brightness b (after normalisation); dropout and batch norm to be left alone."""

    def __init__(self, factor: float = 1.0) -> None:
        super().__init__()
        self.factor = factor
        self.linear = nn.Linear(1, 2)
        self.modes: list[bool] = []

    def forward(self, clips):
        self.modes.append(self.training)
        bright = clips.mean((1, 2, 3, 4)) * self.factor
        return torch.stack([torch.zeros_like(bright), bright], 1)


def judged(make_clips, make_context, network, brightness: list[int]):
    clips = make_clips([(row % 2, "train") for row in range(len(brightness))], frames=4)
    clips.read = lambda row, numbers: np.full((len(numbers), 20, 20, 3), brightness[row], np.uint8)
    look = Look(clip=Clip(frames=2, size=16), windows=1, precision="fp32")
    batches = WindowBatches.of(ViewReader(Rgb(), clips), np.arange(len(brightness)), look)
    return judge(network, batches, clips.targets, Numbers(torch.device("cpu"), False), make_context())


def test_held_out_accuracy_by_hand(make_clips, make_context):
    network = Brightness().train()
    # classes 0, 1, 0, 1; bright is class 1: right, right, wrong, wrong
    accuracy, loss = judged(make_clips, make_context, network, [0, 255, 255, 0])
    assert accuracy == 0.5
    dark = np.mean([-m / s for m, s in zip((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))])
    light = np.mean([(1 - m) / s for m, s in zip((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))])
    costs = [math.log1p(math.exp(x)) for x in (dark, -light, light, -dark)]
    assert loss == pytest.approx(np.mean(costs), abs=1e-5)
    assert network.modes == [False] and network.training


def test_a_network_that_has_diverged_is_told(make_clips, make_context):
    with pytest.raises(UserError, match="lower schedule.lr|Lower schedule.lr"):
        judged(make_clips, make_context, Brightness(math.nan), [0, 255])
