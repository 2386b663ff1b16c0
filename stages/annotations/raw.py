"""What annotation files say, before anything is known of the videos."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from stages.video.listing import Trouble


@dataclass(frozen=True)
class RawSegment:
    """start, end: seconds as annotated, finite; label: a class name."""

    start: float
    end: float
    label: str

    def __str__(self) -> str:
        return f"[{self.start:g}, {self.end:g}] {self.label}"


@dataclass(frozen=True)
class RawVideo:
    """A video as a file names it, without ending. duration: seconds, None if not stated; where: the file and place."""

    name: str
    split: str
    duration: float | None
    segments: tuple[RawSegment, ...]
    where: str


@dataclass
class Read:
    """videos in the order of the files; errors that forbid to go on, each with its place; troubles for problems.csv.

    known_labels: what the files call a class, where they have a list. notes: lines for the person who watches.
    """

    videos: list[RawVideo] = field(default_factory=list)
    known_labels: frozenset[str] | None = None
    errors: list[str] = field(default_factory=list)
    troubles: list[Trouble] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    subsets: dict[str, int] = field(default_factory=dict)
    """How many videos each subset has by its name in the files, where they name subsets."""


def seconds(value: Any) -> float | None:
    """A time, written as a number or as text (some files do); None if it is none."""
    if isinstance(value, bool):
        return None
    try:
        number = float(value)
    except (TypeError, ValueError):
        return None
    return number if math.isfinite(number) else None


def without_labels(read: Read, ignored: Sequence[str]) -> None:
    """Drop segments of ``ignored`` labels; says so."""
    kept, dropped = [], 0
    for video in read.videos:
        segments = tuple(s for s in video.segments if s.label not in ignored)
        if len(segments) < len(video.segments):
            count = len(video.segments) - len(segments)
            dropped += count
            read.troubles.append(Trouble(video.name, f"ignored label: {count} segments are left out"))
        kept.append(RawVideo(video.name, video.split, video.duration, segments, video.where))
    read.videos = kept
    if dropped:
        read.notes.append(
            f"{dropped} segments of ignored labels ({', '.join(ignored)}) are no ground truth (problems.csv)"
        )


def grouped(read: Read, rows: Sequence[tuple[str, RawSegment | None, float | None]], split: str, where: str) -> None:
    """Add the videos of a table with a row (video, segment, duration) each; durations that differ are an error."""
    segments: dict[str, list[RawSegment]] = {}
    durations: dict[str, float] = {}
    for name, segment, duration in rows:
        segments.setdefault(name, [])
        if segment is not None:
            segments[name].append(segment)
        if duration is not None and durations.setdefault(name, duration) != duration:
            read.errors.append(f"{where}: {name} has the durations {durations[name]:g} and {duration:g} s")
    read.videos += [RawVideo(name, split, durations.get(name), tuple(found), where) for name, found in segments.items()]
