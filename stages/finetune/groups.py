"""Learning rates of a finetuning: a new linear layer learns faster than a network that was trained before."""

from __future__ import annotations

from typing import Any

import torch

from stages.classify.classifier import Classifier


def parameter_groups(classifier: Classifier, lr: float, backbone_lr: float) -> list[dict[str, Any]]:
    """Groups for an optimiser. base_lr: of the group, before any decay; curve: name under which its rate is logged."""
    return [
        {
            "params": list(classifier.encoder.parameters()),
            "base_lr": backbone_lr,
            "curve": "backbone_learning_rate",
        },
        {"params": list(classifier.linear.parameters()), "base_lr": lr, "curve": "learning_rate"},
    ]


def scale_rates(optimizer: torch.optim.Optimizer, factor: float) -> dict[str, float]:
    """Set the rate of each of these groups to ``factor`` times its own; returns curve -> rate."""
    for group in optimizer.param_groups:
        group["lr"] = group["base_lr"] * factor
    return {group["curve"]: group["lr"] for group in optimizer.param_groups}
