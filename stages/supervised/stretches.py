"""Where in which videos a classifier's clips come from: whole videos, or annotated segments of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from engine.errors import UserError

if TYPE_CHECKING:
    from stages.tal.annotations import Annotations
    from stages.video.clips import Clips


@dataclass(frozen=True)
class Stretches:
    """Stretches of videos with classes, all int64 [n]. ``length`` frames from frame ``first`` of the video in ``row``.

    classes: names by target.
    """

    row: NDArray[np.int64]
    first: NDArray[np.int64]
    length: NDArray[np.int64]
    target: NDArray[np.int64]
    classes: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.row)


def frames_within(start: float, end: float, duration: float, frames: int) -> tuple[int, int]:
    """First frame and number of frames of a segment [s] in a video of ``frames`` frames and ``duration`` seconds.

    A frame n is shown from n to n + 1 frame times and belongs to the segment that its middle lies in; a segment between
    the middles of two frames has the frame that its own middle lies in. 0 frames where nothing of it is in the video.
    """
    low, high = (min(max(time / duration, 0.0), 1.0) * frames for time in (start, end))
    if high <= low:
        return 0, 0
    first, last = int(np.ceil(low - 0.5)), int(np.ceil(high - 0.5))
    if last > first:
        return first, last - first
    return min(int((low + high) / 2), frames - 1), 1


def whole_videos(clips: Clips, rows: Sequence[int] | NDArray[np.int64], annotations: Annotations | None) -> Stretches:
    """Videos from end to end, of their own classes.

    annotations: of untrimmed videos; those in which nothing happens have no class and are left out. Raises UserError
    when there are no others.
    """
    used = np.array([row for row in rows if annotations is None or annotations.instances[clips.paths[row]]], np.int64)
    if annotations is not None and not len(used):
        raise _nothing_annotated(len(rows))
    classes = clips.classes if annotations is None else annotations.classes
    return Stretches(used, np.zeros_like(used), clips.frames[used], clips.targets[used], tuple(classes))


def segments(clips: Clips, rows: Sequence[int] | NDArray[np.int64], annotations: Annotations) -> Stretches:
    """Annotated segments of the videos, each of its own class, but for those outside of their video or without length.

    Raises UserError when there are none.
    """
    found = []
    for row in rows:
        path = clips.paths[row]
        for instance in annotations.instances[path]:
            first, length = frames_within(
                instance.start, instance.end, annotations.durations[path], int(clips.frames[row])
            )
            if length:
                found.append((int(row), first, length, instance.label))
    if not found:
        raise _nothing_annotated(len(rows))
    return Stretches(*np.array(found, np.int64).T, annotations.classes)


def _nothing_annotated(videos: int) -> UserError:
    return UserError(
        f"none of the {videos} training videos has an annotated segment to take clips from: check the names of the "
        "subsets in the spec's data"
    )
