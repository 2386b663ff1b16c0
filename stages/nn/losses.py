"""Contrastive losses over an own key and a queue. All in fp32, by log-sum-exp, so that no ratio underflows."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor


def contrastive_logits(queries: Tensor, keys: Tensor, queue: Tensor, temperature: float) -> Tensor:
    """Similarities of each query to its own key (column 0) and to the queue (columns 1..K), over the temperature.

    queries, keys: [N, D] and queue: [K, D], of unit length. Returns float32 [N, 1 + K].
    """
    queries = queries.float()
    own = (queries * keys.float()).sum(1, keepdim=True)
    return torch.cat([own, queries @ queue.float().T], dim=1) / temperature


def contrastive_loss(
    logits: Tensor, positives: Tensor, valid: Tensor | None = None, sum: Literal["inside", "outside"] = "inside"
) -> Tensor:
    """Multi-positive contrastive loss, averaged over the batch.

    With l the logits of a row, P its positives and A its valid columns:
      inside:  -log( sum_P exp(l) / sum_A exp(l) )             (MIL-NCE; CoCLR's L1 and L2)
      outside: -1/|P| sum_P log( exp(l) / sum_A exp(l) )       (SupCon; UberNCE's public code)
    With one positive a row both are InfoNCE.

    logits: [N, A]. positives: bool [N, A], at least one valid positive a row (else the loss is infinite or NaN).
    valid: bool [A] or [N, A], columns that exist; invalid ones are neither positives nor negatives.
    Returns a float32 scalar.
    """
    logits = logits.float()
    if valid is not None:
        positives = positives & valid
        logits = logits.masked_fill(~valid, -torch.inf)
    everything = logits.logsumexp(1)
    if sum == "inside":
        return (everything - logits.masked_fill(~positives, -torch.inf).logsumexp(1)).mean()
    # Invalid columns hold -inf, and -inf * 0 is NaN: they are replaced, not multiplied away.
    chosen = logits.masked_fill(~positives, 0).sum(1) / positives.sum(1)
    return (everything - chosen).mean()


def own_positive(logits: Tensor) -> Tensor:
    """Positives of InfoNCE: the own key alone. bool of the shape of ``logits`` [N, 1 + K]."""
    positives = torch.zeros_like(logits, dtype=torch.bool)
    positives[:, 0] = True
    return positives


def label_positives(labels: Tensor, queue_labels: Tensor) -> Tensor:
    """Positives of UberNCE: the own key and every queued key of the query's class.

    labels: int64 [N]; queue_labels: int64 [K]. Returns bool [N, 1 + K].
    """
    same = labels[:, None] == queue_labels[None, :]
    return torch.cat([torch.ones_like(same[:, :1]), same], dim=1)
