"""The pictures of a half-cycle: what the networks see, and the videos that were mined as positives."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Sequence

import numpy as np
import torch
from torch import Tensor

from stages.nn.queue import NOBODY
from stages.video.grid import pair_grid
from stages.video.neighbours import Answer, Query, neighbours_picture, spread_queries
from stages.video.transforms import denormalise, normalise

if TYPE_CHECKING:
    from stages.video.clips import Clips
    from stages.video.loader import PairBatch
    from stages.video.spec import View
    from stages.video.views import ViewReader

QUERIES = 6
SHOWN = 5
"""Mined videos of each query in the picture."""


def view_pictures(batch: PairBatch, view: View, other: View) -> dict[str, np.ndarray]:
    """By name: queries beside their keys in the trained view, and the keys beside themselves in the view that mines."""
    cpu = torch.device("cpu")
    queries, keys = (denormalise(normalise(clips, view), view) for clips in batch.coloured(cpu))
    same_keys = denormalise(normalise(batch.coloured_other(cpu), other), other)
    return {"views": pair_grid(queries, keys), "mining_view": pair_grid(keys, same_keys)}


def mined_picture(
    clips: Clips, mined: Tensor, similarity: Tensor, views: Sequence[ViewReader], other_name: str
) -> Any | None:
    """Matplotlib figure of some queries with the videos that were mined for them last; None where nothing was mined.

    mined: int64 [videos, k], rows, NOBODY where there are none; similarity: [videos, k], cosines in the view that
    mines. views: what is shown of each video, one strip below another.
    """
    rows, nearness = mined[:, :SHOWN].cpu().numpy(), similarity[:, :SHOWN].cpu().numpy()
    asking = np.flatnonzero((rows != NOBODY).any(axis=1))
    if not len(asking):
        return None
    queries = []
    for row in asking[spread_queries(clips.targets[asking], QUERIES)]:
        found = rows[row] != NOBODY
        answers = tuple(
            Answer(int(answer), float(cosine), bool(clips.targets[answer] == clips.targets[row]))
            for answer, cosine in zip(rows[row][found], nearness[row][found])
        )
        queries.append(Query(int(row), answers))
    return neighbours_picture(clips, queries, views, asked="query", found=f"mined by {other_name.replace('$', '')}")
