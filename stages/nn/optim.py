"""Optimisers, and the learning rate as a pure function of the step."""

from __future__ import annotations

import math
from typing import Iterable

import torch
from torch import nn

from stages.nn.spec import Schedule


def optimizer(schedule: Schedule, parameters: Iterable[nn.Parameter]) -> torch.optim.Optimizer:
    """Adam, AdamW or SGD, fused (one kernel for all weights); weight decay applies to all parameters, as in CoCLR."""
    common = {"lr": schedule.lr, "weight_decay": schedule.weight_decay, "fused": True}
    match schedule.optimizer:
        case "adam":
            return torch.optim.Adam(parameters, **common)
        case "adamw":
            return torch.optim.AdamW(parameters, **common)
        case "sgd":
            return torch.optim.SGD(parameters, momentum=schedule.momentum, **common)


def learning_rate(schedule: Schedule, step: int, steps_per_epoch: int) -> float:
    """Rate of step ``step`` (from 0): linear warm-up, times the decay over the whole training.

    warm-up: step i of w has rate lr * (i + 1) / w, so that none is 0. step: a tenth after each milestone that
    ``step / total`` has reached. cosine: from lr after the warm-up to ``final_share`` of it
    after the last step.
    """
    total = schedule.epochs * steps_per_epoch
    warmup = min(round(schedule.warmup_epochs * steps_per_epoch), total)
    if step < warmup:
        return schedule.lr * ((step + 1) / warmup)
    match schedule.decay:
        case "none":
            return schedule.lr
        case "step":
            # Milestones count in whole steps: 250/300 of 300 steps is step 250, whatever the fraction rounds to.
            passed = sum(step >= round(fraction * total) for fraction in schedule.milestones)
            return schedule.lr * 0.1**passed
        case "cosine":
            falling = 0.5 * (1 + math.cos(math.pi * (step - warmup) / (total - warmup)))
            return schedule.lr * (schedule.final_share + (1 - schedule.final_share) * falling)


def set_learning_rate(optimizer: torch.optim.Optimizer, rate: float) -> None:
    """Set the rate of every parameter group."""
    for group in optimizer.param_groups:
        group["lr"] = rate
