"""Learning rates of encoder and head."""

from __future__ import annotations

from typing import Any

from stages.lofi.network import EndToEnd
from stages.lofi.spec import LofiSchedule
from stages.nn.optim import learning_rate


def parameter_groups(network: EndToEnd, lr: float, encoder_lr: float) -> list[dict[str, Any]]:
    """Groups for an optimiser, as ``stages.finetune.groups.scale_rates`` takes them."""
    return [
        {"params": list(network.encoder.parameters()), "base_lr": encoder_lr, "curve": "encoder_learning_rate"},
        {"params": list(network.head.parameters()), "base_lr": lr, "curve": "learning_rate"},
    ]


def rate_factor(schedule: LofiSchedule, step: int, steps_per_epoch: int) -> float:
    """What both rates are multiplied with at step ``step`` (from 0): ``factor`` for every ``every`` epochs that are
    over, and warm-up and decay as of any training. LoFi, section 3.3: halved every 5 epochs."""
    falls = step // steps_per_epoch // schedule.every
    unit = schedule.model_copy(update={"lr": 1.0})
    return learning_rate(unit, step, steps_per_epoch) * schedule.factor**falls
