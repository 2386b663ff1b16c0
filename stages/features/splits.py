"""Which videos an evaluation fits on and which it measures, checked so that it can say what is missing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from engine.errors import UserError

if TYPE_CHECKING:
    from engine.run.context import Context
    from stages.video.clips import Clips

SPLITS = ("train", "val", "test")


@dataclass(frozen=True)
class Part:
    """Videos of one split. ``rows``: [N], their rows among all clips; ``targets``: [N], their classes."""

    rows: NDArray[np.int64]
    targets: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.rows)


def train_and_test(clips: Clips, context: Context) -> tuple[Part, Part]:
    """The training and the test videos.

    Raises UserError when either is empty; warns of test videos of a class that no training video shows.
    """
    train, test = _part(clips, "train"), _part(clips, "test")
    if not len(test):
        raise UserError(
            "no video has split 'test', so there is nothing to measure: give the data set a test split "
            "(`split` in the spec's data, the split column of a manifest, or a folder test/)"
        )
    if not len(train):
        raise UserError(
            "no video has split 'train', so there is nothing to compare the test videos with: "
            "check the data set's splits"
        )
    unseen = np.setdiff1d(test.targets, train.targets)
    if len(unseen):
        names = ", ".join(clips.classes[c] for c in unseen[:5]) + (", ..." if len(unseen) > 5 else "")
        count = int(np.isin(test.targets, unseen).sum())
        context.warn(
            f"{count} test videos are of classes without a training video, and count as wrong: {names}"
        )
    return train, test


def _part(clips: Clips, split: str) -> Part:
    rows = np.asarray(clips.split(split), dtype=np.int64)
    return Part(rows, np.asarray(clips.targets, dtype=np.int64)[rows])
