"""A picture of what a training sees: pairs of clips, frame by frame."""

from __future__ import annotations

import numpy as np
from torch import Tensor

_GAP = 4
_WHITE = 255


def pair_grid(queries: Tensor, keys: Tensor, rows: int = 8, columns: int = 4) -> np.ndarray:
    """One row a pair: frames of the query, a gap, frames of the key, evenly spread over the clip.

    queries, keys: uint8 [N, 3, T, S, S]. Returns uint8 [H, W, 3].
    """
    frames = queries.shape[2]
    chosen = np.unique(np.linspace(0, frames - 1, min(columns, frames)).round().astype(int))
    lines = []
    for query, key in zip(queries[:rows], keys[:rows]):
        query_strip, key_strip = (_strip(clip, chosen) for clip in (query, key))
        gap = np.full((len(query_strip), 3 * _GAP, 3), _WHITE, np.uint8)
        lines.append(np.concatenate([query_strip, gap, key_strip], axis=1))
        lines.append(np.full((_GAP, lines[-1].shape[1], 3), _WHITE, np.uint8))
    return np.concatenate(lines[:-1], axis=0)


def _strip(clip: Tensor, chosen: np.ndarray) -> np.ndarray:
    """[3, T, S, S] -> the chosen frames side by side, [S, n * S, 3]."""
    frames = clip.permute(1, 2, 3, 0).cpu().numpy()[chosen]
    return np.concatenate(list(frames), axis=1)
