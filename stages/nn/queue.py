"""Queues of past keys: ring buffers that know how much of them is filled and how old their entries are."""

from __future__ import annotations

from typing import Any, Mapping

import torch
from torch import Tensor, nn

NOBODY = -1


class Ring(nn.Module):
    """The newest ``size`` entries of buffers that are written together, row by row.

    Slots that were never filled are neither positives nor negatives: every user masks them with ``filled``.
    """

    keys: Tensor

    def __init__(self, size: int, dim: int) -> None:
        super().__init__()
        self.size = size
        self.register_buffer("keys", torch.zeros(size, dim))
        self.register_buffer("entered", torch.zeros(size, dtype=torch.int64))
        self.pointer = 0  # slot that is written next
        self.count = 0  # filled slots
        self.batches = 0  # batches that were ever put in

    @property
    def full(self) -> bool:
        """Whether every slot is filled; known without waiting for the device."""
        return self.count == self.size

    @property
    def filled(self) -> Tensor:
        """bool [size]: slots that hold an entry."""
        return torch.arange(self.size, device=self.keys.device) < self.count

    def age(self) -> float:
        """Mean age of the entries in batches: 0 right after the first one; 0 when empty."""
        if self.count == 0:
            return 0.0
        return self.batches - 1 - float(self.entered[: self.count].double().mean())

    def get_extra_state(self) -> dict[str, Any]:
        return {"pointer": self.pointer, "count": self.count, "batches": self.batches}

    def set_extra_state(self, state: dict[str, Any]) -> None:
        self.pointer, self.count, self.batches = state["pointer"], state["count"], state["batches"]

    @torch.no_grad()
    def _write(self, entries: Mapping[str, Tensor]) -> None:
        """Write a batch, buffer by buffer, over the oldest entries. Of a batch larger than the queue the last stay."""
        n = min(len(entries["keys"]), self.size)
        slots = (torch.arange(n, device=self.keys.device) + self.pointer) % self.size
        for name, values in entries.items():
            buffer = self.get_buffer(name)
            buffer.index_copy_(0, slots, values[-n:].detach().to(buffer))
        self.entered.index_fill_(0, slots, self.batches)
        self.pointer = (self.pointer + n) % self.size
        self.count = min(self.count + n, self.size)
        self.batches += 1


class KeyQueue(Ring):
    """Keys with the sources and labels of the videos they came from.

    keys: float32 [size, dim]; sources, labels: int64 [size], NOBODY in slots that were never filled.
    """

    def __init__(self, size: int, dim: int) -> None:
        super().__init__(size, dim)
        self.register_buffer("sources", torch.full((size,), NOBODY))
        self.register_buffer("labels", torch.full((size,), NOBODY))

    def put(self, keys: Tensor, sources: Tensor, labels: Tensor) -> None:
        """Add a batch in place of the oldest entries; the batch need not divide the size.

        keys: [N, dim]; sources, labels: int64 [N]. Of a batch larger than the queue the last entries stay.
        """
        self._write({"keys": keys, "sources": sources, "labels": labels})


class DualQueue(Ring):
    """Keys of one view, each with the feature that a second network gave to the same clip in another view.

    keys: float32 [size, dim]; others: float32 [size, other_dim]; sources, labels, videos: int64 [size], NOBODY in slots
    that were never filled. Labels are there for reports only; videos are rows in the clips.
    """

    def __init__(self, size: int, dim: int, other_dim: int) -> None:
        super().__init__(size, dim)
        self.register_buffer("others", torch.zeros(size, other_dim))
        for name in ("sources", "labels", "videos"):
            self.register_buffer(name, torch.full((size,), NOBODY))

    def put(self, keys: Tensor, others: Tensor, sources: Tensor, labels: Tensor, videos: Tensor) -> None:
        """Add a batch in place of the oldest entries, as ``KeyQueue.put`` does.

        keys: [N, dim]; others: [N, other_dim]; sources, labels, videos: int64 [N].
        """
        self._write({"keys": keys, "others": others, "sources": sources, "labels": labels, "videos": videos})
