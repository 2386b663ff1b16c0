"""Neighbouring frames of a clip, handed to threads."""

from __future__ import annotations

import math
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import numpy as np

RUN = 8
"""At most so many neighbouring pairs are given to a thread at a time; it then prepares each frame of them once."""

Prepared = TypeVar("Prepared")
Solve = Callable[[Prepared, Prepared], np.ndarray]
"""Two neighbouring frames, prepared -> flow float32 [2 (u, v), H, W], valid until the next call."""


def each_pair(
    frames: np.ndarray,
    threads: int,
    prepare: Callable[[np.ndarray], Prepared],
    open_solver: Callable[[], Solve],
) -> np.ndarray:
    """Flow from each frame to the next: uint8 [T, H, W, 3] -> float32 [T - 1, H, W, 2], none for an empty clip.

    prepare: what is to be done once for each frame. open_solver: called once on each thread.
    """
    pairs = max(len(frames) - 1, 0)
    out = np.empty((pairs, *frames.shape[1:3], 2), np.float32)
    run = min(RUN, max(math.ceil(pairs / threads), 1))
    local = threading.local()

    def solve_run(start: int) -> None:
        if not hasattr(local, "solve"):
            local.solve = open_solver()
        first = prepare(frames[start])
        for number in range(start, min(start + run, pairs)):
            second = prepare(frames[number + 1])
            out[number, ..., 0], out[number, ..., 1] = local.solve(first, second)
            first = second

    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(solve_run, range(0, pairs, run)))
    return out
