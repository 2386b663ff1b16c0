"""What flow costs: time, and bytes on the disk."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from stages.video.flow_spec import FlowAlgorithm
from stages.video.flows import FlowShelf
from stages.video.room import size_text
from stages.video.shards import places

CORE_NANOSECONDS = {"tvl1": 210.0, "dual_tvl1": 1000.0, "dis": 130.0, "raft": 60_000.0, "precomputed": 40.0}
"""For one pixel of one pair on one core. Measured with default fields on two cores of a busy server CPU, at 240 x 320, but for ``raft``
and ``precomputed``, which are of the right order."""

GPU_NANOSECONDS = {"tvl1": 30.0, "raft": 300.0}
"""The same on a GPU, of the right order: only portions are sized by it."""

JPEG_SHARE = 0.25
"""Bytes of two JPEG planes of quality 95 for one byte of the raw ones."""


def pairs_of(frames: np.ndarray) -> np.ndarray:
    """Flow fields of videos with so many frames."""
    return np.maximum(frames - 1, 1)


def stored_bytes(pairs: np.ndarray, sizes: np.ndarray, kind: str) -> float:
    """About how many bytes the flow takes. pairs: [N]; sizes: [N, 2] in pixels."""
    raw = 2.0 * float((pairs * sizes.prod(1)).sum())
    return raw if kind == "raw" else raw * JPEG_SHARE


def seconds_of(pairs: np.ndarray, sizes: np.ndarray, algorithm: FlowAlgorithm, device: str = "cpu") -> np.ndarray:
    """About how long each video takes on one core, or on a GPU: float64 [N]."""
    rates = CORE_NANOSECONDS if device == "cpu" else GPU_NANOSECONDS
    return pairs * sizes.prod(1) * (rates[algorithm.kind] * 1e-9)


def missing(store: Path, shelf: FlowShelf, keys: Sequence[str]) -> np.ndarray:
    """bool [N]: videos whose flow is not in the store. Of videos with the same content the first counts alone."""
    there = set(places(store, shelf, keys))
    out = np.zeros(len(keys), bool)
    for i, key in enumerate(keys):
        out[i] = key not in there
        there.add(key)
    return out


def forecast_line(pairs: np.ndarray, sizes: np.ndarray, todo: np.ndarray, algorithm: FlowAlgorithm, kind: str) -> str:
    """One line for ``vidspec plan``."""
    if not todo.any():
        return f"{int(pairs.sum()):,} flow fields, all in the store"
    pixels = float((pairs[todo] * sizes[todo].prod(1)).sum())
    seconds = float(seconds_of(pairs[todo], sizes[todo], algorithm).sum())
    disk = size_text(stored_bytes(pairs[todo], sizes[todo], kind))
    return (
        f"{int(pairs[todo].sum()):,} of {int(pairs.sum()):,} flow fields to compute, {_short(pixels / 1e6)} megapixels: about "
        f"{time_text(seconds)} of a core ({algorithm.kind} at {CORE_NANOSECONDS[algorithm.kind]:g} ns a pixel), {disk} of disk"
    )


def extracted_line(pairs: np.ndarray, sizes: np.ndarray, kind: str) -> str:
    """The same for flow that was extracted before."""
    disk = size_text(stored_bytes(pairs, sizes, kind))
    return f"{int(pairs.sum()):,} flow fields, read from their files where these are new: at most {disk} of disk"


def time_text(seconds: float) -> str:
    """``40 s``, ``3.2 min``, ``5.1 h``, ``120 h``."""
    for unit, length in (("h", 3600.0), ("min", 60.0)):
        if seconds >= length:
            return _short(seconds / length) + f" {unit}"
    return _short(seconds) + " s"


def _short(value: float) -> str:
    return f"{value:,.0f}" if value >= 10 else f"{value:.2g}"
