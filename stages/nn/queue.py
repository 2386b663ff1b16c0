"""A queue of past keys: a ring buffer that knows how much of it is filled and how old its entries are."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

NOBODY = -1


class KeyQueue(nn.Module):
    """The newest ``size`` keys with the videos and labels they came from.

    keys: float32 [size, dim]; sources, labels: int64 [size], NOBODY in slots that were never filled. Those slots are
    neither positives nor negatives: every user masks its logits with ``filled``.
    """

    def __init__(self, size: int, dim: int) -> None:
        super().__init__()
        self.size = size
        self.register_buffer("keys", torch.zeros(size, dim))
        self.register_buffer("sources", torch.full((size,), NOBODY))
        self.register_buffer("labels", torch.full((size,), NOBODY))
        self.register_buffer("entered", torch.zeros(size, dtype=torch.int64))
        self.pointer = 0  # slot that is written next
        self.count = 0  # filled slots
        self.batches = 0  # batches that were ever put in

    @property
    def filled(self) -> Tensor:
        """bool [size]: slots that hold a key."""
        return torch.arange(self.size, device=self.keys.device) < self.count

    @torch.no_grad()
    def put(self, keys: Tensor, sources: Tensor, labels: Tensor) -> None:
        """Add a batch in place of the oldest entries; the batch need not divide the size.

        keys: [N, dim]; sources, labels: int64 [N]. Of a batch larger than the queue the last entries stay.
        """
        keys, sources, labels = keys[-self.size :], sources[-self.size :], labels[-self.size :]
        n = len(keys)
        slots = (torch.arange(n, device=self.keys.device) + self.pointer) % self.size
        self.keys.index_copy_(0, slots, keys.detach().to(self.keys))
        self.sources.index_copy_(0, slots, sources.to(self.sources))
        self.labels.index_copy_(0, slots, labels.to(self.labels))
        self.entered.index_fill_(0, slots, self.batches)
        self.pointer = (self.pointer + n) % self.size
        self.count = min(self.count + n, self.size)
        self.batches += 1

    def age(self) -> float:
        """Mean age of the entries in batches: 0 right after the first ``put``; 0 when empty."""
        if self.count == 0:
            return 0.0
        return self.batches - 1 - float(self.entered[: self.count].double().mean())

    def get_extra_state(self) -> dict[str, Any]:
        return {"pointer": self.pointer, "count": self.count, "batches": self.batches}

    def set_extra_state(self, state: dict[str, Any]) -> None:
        self.pointer, self.count, self.batches = state["pointer"], state["count"], state["batches"]
