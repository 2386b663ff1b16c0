"""The part of the training videos that is held out to choose by, so that test videos need not be looked at."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from stages.classify.spec import HeldOut
from stages.features.splits import Part

if TYPE_CHECKING:
    from engine.run.context import Context
    from stages.video.clips import Clips


def held_out(clips: Clips, train: Part, config: HeldOut, context: Context) -> NDArray[np.bool_]:
    """Which training videos are held out, [training videos]: the same for every model and seed, to compare fairly.

    Warns when no source can be spared, and then holds out single videos. All False when that is not possible either.
    """
    groups = np.asarray(clips.groups)[train.rows]
    held = hold_out(train.targets, groups, config.share, np.random.default_rng(config.draw))
    if not held.any():
        held = hold_out(
            train.targets, np.full_like(groups, -1), config.share, np.random.default_rng(config.draw)
        )
        if held.any():
            context.warn(
                "no source of videos can be held out without losing a class: single videos are held out instead, "
                "which flatters the held-out accuracy"
            )
    return held


def hold_out(targets: NDArray, groups: NDArray, share: float, rng: np.random.Generator) -> NDArray[np.bool_]:
    """Which of N training videos are held out: close to ``share`` of every class, whole groups only.

    targets: [N] classes; groups: [N] ids of the sources of the videos, which may span classes (a person who shows them
    all); a negative id stands for a video that is its own source.

    Every class keeps at least one video that is not held out. Groups are gone through in random order, and one is
    held out if this brings the shares of the classes closer to ``share``. If that leaves nothing (few groups, all
    large), the group is held out that strays least. All False when no group can be spared.
    """
    targets, groups = np.asarray(targets), np.asarray(groups)
    members = _members(groups)
    content = [np.unique(targets[rows], return_counts=True) for rows in members]
    sizes = np.bincount(targets, minlength=1).astype(np.float64)
    taken = np.zeros_like(sizes)
    chosen: list[int] = []

    def cost(group: int) -> float:
        """Change of the sum over classes of (videos held out - videos wanted)^2 / videos, were the group held out."""
        classes, counts = content[group]
        off = taken[classes] - share * sizes[classes]
        return float(((2 * off + counts) * counts / sizes[classes]).sum())

    def can_be_spared(group: int) -> bool:
        classes, counts = content[group]
        return bool((taken[classes] + counts < sizes[classes]).all())

    order = [int(g) for g in rng.permutation(len(members))]
    for group in order:
        if can_be_spared(group) and cost(group) < 0:
            classes, counts = content[group]
            taken[classes] += counts
            chosen.append(group)
    if not chosen:
        chosen = sorted((g for g in order if can_be_spared(g)), key=cost)[:1]

    held = np.zeros(len(targets), dtype=bool)
    for group in chosen:
        held[members[group]] = True
    return held


def _members(groups: NDArray) -> list[NDArray[np.int64]]:
    """Rows of each group, groups in order of their first row."""
    own = -1 - np.arange(len(groups))
    ids = np.where(groups < 0, own, groups)
    _, first, positions = np.unique(ids, return_index=True, return_inverse=True)
    rows = np.argsort(positions, kind="stable")
    parts = np.split(rows, np.cumsum(np.bincount(positions))[:-1]) if len(rows) else []
    return [parts[i] for i in np.argsort(first)]
