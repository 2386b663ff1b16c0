"""Dividing videos among workers: portions of equal work, small enough to lose and large enough to be worth a file."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from stages.flow.work import Item

SECONDS = 45.0
"""Work of a portion: what a killed run loses at most, for each worker."""
LONGEST = 300.0
"""The same where there is so much to do that shards would be too many to open quickly."""
MOST = 4000
"""Portions beyond which they get longer."""
FOR_EACH_WORKER = 4
"""Portions at least, so that all workers end at about the same time."""


def portions(items: Sequence[Item], seconds: np.ndarray, workers: int) -> list[tuple[Item, ...]]:
    """Divide videos in their order. seconds: work of each, float [N]; workers: 0 if there are no processes to share it."""
    if not len(items):
        return []
    total = float(seconds.sum())
    length = min(max(SECONDS, min(total / MOST, LONGEST)), total / max(1, FOR_EACH_WORKER * workers))
    numbers = ((seconds.cumsum() - seconds / 2) / max(length, 1e-9)).astype(np.int64)
    starts = np.flatnonzero(np.diff(numbers, prepend=-1))
    return [tuple(items[start:stop]) for start, stop in zip(starts, [*starts[1:], len(items)])]
