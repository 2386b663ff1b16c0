"""Dividing videos among workers: portions small enough to lose, large enough to be worth a process and a file."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from stages.clips.work import Item, Portion
from stages.video.shards import Packing

MOST_VIDEOS = 512
MOST_BYTES = 256e6
"""Of video files: some minutes of work."""


def portions(items: Sequence[Item], store: Path, packing: Packing | None, workers: int) -> list[Portion]:
    """Divide ``items`` in their order; each worker gets several portions, so that all end at about the same time."""
    most = min(MOST_VIDEOS, max(16, -(-len(items) // (4 * max(1, workers)))))
    out: list[Portion] = []
    begin = size = 0
    for end, item in enumerate(items):
        if end > begin and (end - begin >= most or size + item.size > MOST_BYTES):
            out.append(Portion(tuple(items[begin:end]), store, packing))
            begin, size = end, 0
        size += item.size
    return [*out, Portion(tuple(items[begin:]), store, packing)] if items else []
