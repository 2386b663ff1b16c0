"""Nearest neighbours by cosine, and recall at k: arrays in, arrays out."""

from __future__ import annotations

from dataclasses import dataclass
from math import comb

import numpy as np
from numpy.typing import NDArray

CHUNK_BYTES = 256 * 2**20
_STEPS = 2**29  # similarities in [-1, 1] are told apart in steps of 2e-9; closer ones count as equal


@dataclass(frozen=True)
class Neighbours:
    """``rows``: [Q, k] which of the gallery's videos, nearest first; ``similarity``: [Q, k] their cosines."""

    rows: NDArray[np.int64]
    similarity: NDArray[np.float64]


def directions(features: NDArray, mean: NDArray | None) -> NDArray[np.float64]:
    """Features [N, D] less ``mean`` [D] (if any), scaled to length 1.

    A feature that equals the mean up to the rounding of float32 has no direction: it becomes zero, and its cosine with
    everything is 0.
    """
    features = np.asarray(features, dtype=np.float64)
    centred = features if mean is None else features - mean
    length = np.linalg.norm(centred, axis=1, keepdims=True)
    rounding = 1e-6 * np.linalg.norm(features, axis=1, keepdims=True)
    return np.divide(centred, length, out=np.zeros_like(centred), where=length > rounding)


def nearest(queries: NDArray, gallery: NDArray, k: int) -> Neighbours:
    """The ``k`` rows of ``gallery`` [N, D] nearest to each of ``queries`` [Q, D], both of length 1 (or 0).

    Of equally near ones (within 2e-9) the lower row comes first, so that the result does not depend on how the
    work is cut up. ``k`` may not exceed N. Memory is bounded: queries are worked on in chunks.
    """
    rows = np.arange(len(gallery), dtype=np.int64)
    found = np.empty((len(queries), k), dtype=np.int64)
    chunk = max(1, CHUNK_BYTES // (8 * max(1, len(gallery))))
    for first in range(0, len(queries), chunk):
        part = slice(first, first + chunk)
        similarity = np.clip(queries[part] @ gallery.T, -1.0, 1.0)
        # One integer holds both: distance in the upper half, row in the lower. All keys differ, so their order is unique.
        keys = (np.rint((1.0 - similarity) * _STEPS).astype(np.int64) << 32) | rows
        if k < len(gallery):
            keys = np.partition(keys, k - 1, axis=1)[:, :k]
        keys.sort(axis=1)
        found[part] = keys
    return Neighbours(found & (2**32 - 1), 1.0 - (found >> 32) / _STEPS)


def recall_at(right: NDArray[np.bool_], k: int) -> float:
    """Share of queries with a right video among the first ``k``. right: [Q, at least k], nearest first."""
    return float(right[:, :k].any(axis=1).mean())


def recall_by_chance(query_targets: NDArray, gallery_targets: NDArray, k: int) -> float:
    """Expected recall at ``k`` when the neighbours are drawn at random from the gallery, without repetition."""
    classes = 1 + max(int(np.max(query_targets)), int(np.max(gallery_targets)))
    sizes = np.bincount(gallery_targets, minlength=classes)
    queries = np.bincount(query_targets, minlength=classes)
    total = len(gallery_targets)
    missed = np.array([_none_of(int(size), total, k) for size in sizes])
    return float((queries * (1.0 - missed)).sum() / queries.sum())


def _none_of(size: int, total: int, k: int) -> float:
    """Probability that ``k`` of ``total`` videos, drawn without repetition, avoid all ``size`` of a class."""
    return comb(total - size, k) / comb(total, k)
