"""Features of any number of snippets as features of L snippets."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from stages.published_features.spec import Timing

SAMPLES = 3
"""Points across a cell over which the mean is taken."""


def rescaled(
    features: NDArray[np.floating], snippets: int, duration: float, timing: Timing | None
) -> NDArray[np.float32]:
    """The features [rows, D] of a video as [snippets, D], float32.

    Row i stands at first + i * step; without ``timing``, rows fill the duration evenly, and a video that has
    ``snippets`` rows already stays as it is. Each of the cells, which divide the duration evenly, takes the mean of
    linear interpolations at SAMPLES points evenly spread from its start to its end (BSN's rescaling). Before
    the first row its values go on to the start; behind the last row its values go on as long, half a row's time at
    least, then come zeros; a video of one row is the same throughout.
    """
    rows = len(features)
    if rows == 1 or (timing is None and rows == snippets):
        return np.broadcast_to(features, (snippets, features.shape[1])).astype(np.float32)
    first, step = timing or Timing(duration / rows / 2, duration / rows)
    cell = duration / snippets
    points = (np.arange(snippets)[:, None] + np.linspace(0, 1, SAMPLES)) * cell
    before = first / step
    place = points / step - before
    inside = place.clip(0, rows - 1)
    below = np.minimum(np.floor(inside).astype(np.int64), rows - 2)
    share = (inside - below)[..., None]
    values = features[below] * (1 - share) + features[below + 1] * share
    there = (place <= rows - 1 + max(before, 0.5) + 1e-9)[..., None]
    return (values * there).mean(axis=1).astype(np.float32)
