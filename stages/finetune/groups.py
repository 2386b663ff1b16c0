"""Learning rates of a finetuning: a new linear layer learns faster than a network that was trained before."""

from __future__ import annotations

from typing import Any

import torch

from stages.classify.classifier import Classifier
from stages.nn.layers import layer_groups


def parameter_groups(
    classifier: Classifier, lr: float, backbone_lr: float, layer_decay: float | None = None
) -> list[dict[str, Any]]:
    """Groups for an optimiser. base_lr: of the group, before any decay; curve: name under which its rate is logged.

    layer_decay: of a transformer, the factor from each layer to the one below it; ``backbone_lr`` is that of the last,
    and the first one's is logged.
    """
    if layer_decay is None:
        encoder = [{"params": list(classifier.encoder.parameters()), "base_lr": backbone_lr}]
    else:
        encoder = layer_groups(classifier.encoder, backbone_lr, layer_decay)
    encoder[0]["curve"] = "backbone_learning_rate"
    linear = {"params": list(classifier.linear.parameters()), "base_lr": lr, "curve": "learning_rate"}
    return [*encoder, linear]


def scale_rates(optimizer: torch.optim.Optimizer, factor: float) -> dict[str, float]:
    """Set the rate of each of these groups to ``factor`` times its own; returns curve -> rate."""
    for group in optimizer.param_groups:
        group["lr"] = group["base_lr"] * factor
    return {group["curve"]: group["lr"] for group in optimizer.param_groups if "curve" in group}
