"""What G-TAD's head is to say of a video: its IoU map and the curves of starts and ends, for any number of snippets L.

G-TAD (Xu et al., CVPR 2020), section 3, with the public code's widths. In units of snippets, cell (d, s) of a map
stands for the segment [s, s + d + 1] of the video [0, L], which lies in it if s + d < L.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

REGION = 1.5
"""A boundary's region reaches so many snippets to both sides, whatever the segment's length."""
LOCATION = (-0.5, 1.5)
"""What location i of a curve covers, in snippets from i on."""


class LabelMaps(NamedTuple):
    """start and end: float32 [L]; iou: float32 [L, L], indexed [duration d, start s]."""

    start: NDArray[np.float32]
    end: NDArray[np.float32]
    iou: NDArray[np.float32]


def valid_mask(snippets: int) -> NDArray[np.bool_]:
    """Which cells (d, s) lie in the video: s + d < L. bool [L, L]."""
    place = np.arange(snippets)
    return place[:, None] + place < snippets


def valid_cells(snippets: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Duration d and start s of the valid cells, in the order of d, then s; int64 [L * (L + 1) / 2] both."""
    duration, start = np.nonzero(valid_mask(snippets))
    return duration, start


def label_maps(segments: ArrayLike, snippets: int) -> LabelMaps:
    """Labels of a video with these segments.

    segments: float [n, 2], start and end as fractions of the video; they are clipped to it, and those of which nothing
    remains are left out. Raises ValueError when one ends before it starts or is not finite.
    """
    found = np.asarray(segments, np.float64).reshape(-1, 2)
    if not np.isfinite(found).all() or (found[:, 1] < found[:, 0]).any():
        raise ValueError("a segment must be finite and not end before it starts")
    found = found.clip(0, 1) * snippets
    found = found[found[:, 1] > found[:, 0]]
    return LabelMaps(
        boundary_curve(found[:, 0], snippets), boundary_curve(found[:, 1], snippets), iou_map(found, snippets)
    )


def iou_map(segments: NDArray[np.float64], snippets: int) -> NDArray[np.float32]:
    """The greatest IoU of each cell with a segment; 0 at invalid cells. float32 [L, L].

    segments: [n, 2] in snippets.
    """
    duration, first = np.ogrid[:snippets, :snippets]
    last = first + duration + 1
    best = np.zeros((snippets, snippets))
    for start, end in segments:
        overlap = (np.minimum(last, end) - np.maximum(first, start)).clip(0)
        best = np.maximum(best, overlap / (duration + 1 + (end - start) - overlap))
    return np.where(valid_mask(snippets), best, 0).astype(np.float32)


def boundary_curve(boundaries: NDArray[np.float64], snippets: int) -> NDArray[np.float32]:
    """How much of each location is covered by a boundary's region, the greatest over the boundaries. float32 [L].

    boundaries: [n] in snippets. 1 at the two snippets that touch a boundary, when that lies between snippets.
    """
    low, high = (np.arange(snippets)[:, None] + edge for edge in LOCATION)
    overlap = np.minimum(high, boundaries + REGION) - np.maximum(low, boundaries - REGION)
    share = overlap.clip(0) / (LOCATION[1] - LOCATION[0])
    return share.max(axis=1, initial=0).astype(np.float32)
