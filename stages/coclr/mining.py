"""Mining: which queued clips look alike in the other view (CoCLR, section 3.2)."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor


class Mined(NamedTuple):
    """The candidates most similar to each query, nearest first.

    slots: int64 [N, k], places in the queue; found: bool [N, k], False where there were fewer than k candidates, and
    the slot means nothing; similarity: float32 [N, k], cosines in the other view, -inf where nothing was found.
    """

    slots: Tensor
    found: Tensor
    similarity: Tensor

    def mask(self, size: int) -> Tensor:
        """The same as a set of slots: bool [N, size]."""
        empty = torch.zeros(len(self.slots), size, dtype=torch.bool, device=self.slots.device)
        return empty.scatter_(1, self.slots, self.found)


@torch.no_grad()
def mine(features: Tensor, stored: Tensor, candidates: Tensor, topk: int) -> Mined:
    """The ``topk`` candidates of each query whose other view is nearest to the other view of the query's key clip.

    features: [N, D] and stored: [K, D], of unit length, from the same frozen network. candidates: bool [N, K], slots
    that are filled and do not come from the query's own source video.
    """
    similarity = (features.float() @ stored.float().T).masked_fill(~candidates, -torch.inf)
    best, slots = similarity.topk(min(topk, similarity.shape[1]), dim=1)
    return Mined(slots, best > -torch.inf, best)
