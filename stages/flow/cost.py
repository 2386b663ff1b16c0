"""What flow costs: time on one core, and bytes on the disk."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from stages.video.flow_spec import FlowAlgorithm
from stages.video.flows import FlowShelf
from stages.video.room import size_text
from stages.video.shards import places

CORE_NANOSECONDS = {"tvl1": 210.0, "dual_tvl1": 2500.0, "dis": 45.0, "raft": 60_000.0, "precomputed": 40.0}
"""For one pixel of one pair, on one core of a server CPU of 2020 or later; measured for TV-L1, of the right order for the others."""

JPEG_SHARE = 0.25
"""Bytes of two JPEG planes of quality 95 for one byte of the raw ones."""


def pairs_of(frames: np.ndarray) -> np.ndarray:
    """Flow fields of videos with so many frames."""
    return np.maximum(frames - 1, 1)


def stored_bytes(pairs: np.ndarray, sizes: np.ndarray, kind: str) -> float:
    """About how many bytes the flow takes. pairs: [N]; sizes: [N, 2] in pixels."""
    raw = 2.0 * float((pairs * sizes.prod(1)).sum())
    return raw if kind == "raw" else raw * JPEG_SHARE


def core_seconds(pairs: np.ndarray, sizes: np.ndarray, algorithm: FlowAlgorithm) -> float:
    """About how long one core takes."""
    return float((pairs * sizes.prod(1)).sum()) * CORE_NANOSECONDS[algorithm.kind] * 1e-9


def missing(store: Path, shelf: FlowShelf, digests: Sequence[str]) -> np.ndarray:
    """bool [N]: videos whose flow is not in the store. Of videos with the same content the first counts alone."""
    there = set(places(store, shelf, digests))
    out = np.zeros(len(digests), bool)
    for i, digest in enumerate(digests):
        out[i] = digest not in there
        there.add(digest)
    return out


def forecast_line(pairs: np.ndarray, sizes: np.ndarray, todo: np.ndarray, algorithm: FlowAlgorithm, kind: str) -> str:
    """One line for ``vidspec plan``."""
    if not todo.any():
        return f"{int(pairs.sum()):,} flow fields, all in the store"
    seconds = core_seconds(pairs[todo], sizes[todo], algorithm)
    disk = size_text(stored_bytes(pairs[todo], sizes[todo], kind))
    return (
        f"{int(pairs[todo].sum()):,} of {int(pairs.sum()):,} flow fields to compute: about {time_text(seconds)} of a core "
        f"({algorithm.kind}), {disk} of disk"
    )


def time_text(seconds: float) -> str:
    """``40 s``, ``3.2 min``, ``5.1 h``."""
    for unit, length in (("h", 3600.0), ("min", 60.0)):
        if seconds >= length:
            return f"{seconds / length:.2g} {unit}"
    return f"{seconds:.2g} s"
