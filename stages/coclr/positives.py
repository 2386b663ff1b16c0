"""Which columns of the logits are positives, and which exist at all. Column 0 is the own key, 1..K the queue."""

from __future__ import annotations

from typing import Literal

import numpy as np
import torch
from torch import Tensor

from stages.coclr.spec import Drop, Keep


def draw_dropped(rule: Keep | Drop, rng: np.random.Generator, rows: int) -> Tensor:
    """Which queries are to do without their own key in this step, if they can: bool [rows], on the CPU."""
    if rule.kind == "keep":
        return torch.zeros(rows, dtype=torch.bool)
    draws = rng.random(1 if rule.per == "iteration" else rows)
    return torch.from_numpy(draws < rule.probability).expand(rows)


def positive_columns(
    mined: Tensor,
    siblings: Tensor,
    filled: Tensor,
    dropped: Tensor,
    same_source: Literal["positive", "negative", "ignore"],
    own_positive: Keep | Drop,
) -> tuple[Tensor, Tensor]:
    """Positives and valid columns of CoCLR's loss (equations 3 and 4; siblings and dropped own keys as in its code).

    With M the mined entries, S the siblings (entries of the query's source video) and 0 the own key, the numerator sums
    over {0} + M + S (``same_source`` positive) or {0} + M (negative, ignore), without the 0 in rows that are
    ``dropped``, unless it is all that a row has. The denominator sums over everything filled, without S (ignore), and
    without a dropped own key where ``own_positive.becomes`` is ignored; in CoCLR's code it stays, and is pushed away
    like a negative. S and M do not overlap, as siblings are never mined.

    mined, siblings: bool [N, K], of filled slots only; filled: bool [K]; dropped: bool [N]. Returns two masks,
    bool [N, 1 + K].
    """
    others = mined | siblings if same_source == "positive" else mined
    leaves = (dropped & others.any(1))[:, None]
    ignored = own_positive.kind == "drop" and own_positive.becomes == "ignored"
    own = ~leaves if ignored else torch.ones_like(leaves)
    there = filled & ~siblings if same_source == "ignore" else filled.expand_as(mined)
    return torch.cat([~leaves, others], dim=1), torch.cat([own, there], dim=1)
