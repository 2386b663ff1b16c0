"""Which videos a head is trained on, and the part of them that is held out to choose by."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from engine.errors import UserError
from engine.run.context import Context
from stages.classify.holdout import hold_out
from stages.classify.spec import HeldOut
from stages.snippets.index import SnippetIndex
from stages.tal.annotations import Annotations


@dataclass(frozen=True)
class TrainingVideos:
    """rows: int64 [N] rows of the index, ascending; held: bool [N], whether held out.

    fractions: segments of each as parts of it, float [n, 2]; classes: those that occur in each, int64 [at least 1].
    """

    rows: NDArray[np.int64]
    held: NDArray[np.bool_]
    fractions: tuple[NDArray[np.float64], ...]
    classes: tuple[NDArray[np.int64], ...]


def training_videos(
    index: SnippetIndex, annotations: Annotations, config: HeldOut, context: Context
) -> TrainingVideos:
    """The videos of split ``train`` in which something is annotated.

    What is held out is the same for every model and seed. Raises UserError when there are none.
    """
    train = index.rows("train")
    rows = np.array([row for row in train if annotations.instances[index.videos[row].path]], np.int64)
    if not len(rows):
        raise UserError(
            f"none of the {len(train)} videos of split 'train' with features has an annotated segment, so there is "
            "nothing to learn: check the names of the subsets in the spec's data"
        )
    if len(rows) < len(train):
        context.say(
            f"{len(train) - len(rows)} of {len(train)} training videos have no annotated segment and are left out"
        )
    paths = [index.videos[row].path for row in rows]
    labels = [index.videos[row].label for row in rows]
    targets = np.array([annotations.classes.index(label) for label in labels], np.int64)
    names = [index.videos[row].group for row in rows]
    numbers = {name: number for number, name in enumerate(sorted(set(names) - {""}))}
    groups = np.array([numbers.get(name, -1) for name in names], np.int64)
    held = hold_out(targets, groups, config.share, np.random.default_rng(config.draw))
    return TrainingVideos(
        rows,
        held,
        tuple(annotations.fractions(path) for path in paths),
        tuple(np.unique([instance.label for instance in annotations.instances[path]]) for path in paths),
    )
