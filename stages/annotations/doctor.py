"""What is wrong with annotated videos. Each function finds one sort of trouble and obeys the policy about it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from engine.errors import UserError
from stages.annotations.headers import Header
from stages.annotations.raw import RawSegment, RawVideo
from stages.annotations.spec import AnnotatedLayout, Policy
from stages.listing.contents import Contents
from stages.listing.found import listed
from stages.tal.durations import DurationSource, choose_duration
from stages.video.listing import Trouble

SAME = 1e-3
"""Seconds within which two times are the same."""
LEAST_TOLERANCE = 0.1
"""Seconds of difference in duration that are always allowed: annotations are rounded."""


@dataclass
class Doctor:
    """Collects findings; their kinds are the fields of ``Policy``. refused: those that the policy does not forgive."""

    policy: Policy
    counts: Counter[str] = field(default_factory=Counter)
    troubles: list[Trouble] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)

    def find(self, kind: str, where: str, problem: str) -> str:
        """Note a trouble; returns what the policy says of its kind: ``keep``, ``skip``, ``cut`` or ``fail``."""
        todo = getattr(self.policy, kind)
        self.counts[kind] += 1
        self.troubles.append(Trouble(where, f"{kind}: {problem}"))
        if todo == "fail":
            self.refused.append(f"{where}: {kind}: {problem}")
        return todo

    def raise_refused(self, name: str) -> None:
        """Raises UserError with all troubles that the policy does not forgive, if there are any."""
        if self.refused:
            kinds = sorted(kind for kind in self.counts if getattr(self.policy, kind) == "fail")
            remedy = ", ".join(f"`policy.{kind}: skip`" for kind in kinds)
            raise UserError(
                listed(
                    f"data set {name!r}: {len(self.refused)} troubles that `policy` does not forgive. Repair them"
                    + (f", or set {remedy} in the spec's data to leave out what they concern:" if kinds else ":"),
                    self.refused,
                )
            )

    def summary(self) -> list[str]:
        """A warning for each kind that was found."""
        return [
            f"{kind}: {count} found ({getattr(self.policy, kind)}; see problems.csv)"
            for kind, count in sorted(self.counts.items())
        ]


def locate(
    videos: Sequence[RawVideo], contents: Contents, doctor: Doctor
) -> tuple[list[tuple[RawVideo, str]], list[RawVideo]]:
    """Videos that are there with their paths, and those that are missing.

    A video is the file of its name, whatever the ending and folder; else of its name with ``v_`` added or removed.
    Names of YouTube's videos differ by case alone, so case counts.
    """
    found, missing = [], []
    for video in videos:
        hits = contents.by_stem.get(video.name, [])
        if not hits:
            other = video.name.removeprefix("v_") if video.name.startswith("v_") else f"v_{video.name}"
            hits = contents.by_stem.get(other, [])
            if hits and doctor.find("prefix", video.name, f"its file is {hits[0]}") != "keep":
                continue
        if not hits:
            doctor.find("missing", video.name, f"no such video below the root ({video.where})")
            missing.append(video)
            continue
        if len(hits) > 1:
            doctor.troubles.append(Trouble(video.name, f"several files: {', '.join(hits)}; the first is taken"))
        found.append((video, hits[0]))
    return found, missing


def measure(
    video: RawVideo, path: str, header: Header, layout: AnnotatedLayout, doctor: Doctor
) -> tuple[float, DurationSource] | None:
    """The duration that counts and where it comes from; None if the video is to be left out."""
    if header.problem:
        doctor.find("unreadable", path, header.problem)
        return None
    chosen = choose_duration(layout.duration, video.duration, header.duration, header.frames, header.fps)
    if chosen is None:
        doctor.find("unreadable", path, "neither the annotations nor the file say how long it is")
        return None
    verdicts = []
    if video.duration and header.duration:
        apart = abs(video.duration - header.duration)
        if apart > max(layout.duration_tolerance * video.duration, LEAST_TOLERANCE):
            problem = f"annotated {video.duration:g} s, but the file has {header.duration:g} s"
            verdicts.append(doctor.find("duration", path, problem))
    if header.frames < layout.snippet:
        problem = f"{header.frames} frames, but a snippet spans {layout.snippet}"
        verdicts.append(doctor.find("too_short", path, problem))
    return None if "skip" in verdicts else chosen


def usable_segments(
    video: RawVideo,
    path: str,
    duration: float,
    known: frozenset[str] | None,
    layout: AnnotatedLayout,
    doctor: Doctor,
) -> tuple[RawSegment, ...]:
    """The segments that are left, by start. known: the labels that there are; None: all are good."""
    kept: list[RawSegment] = []
    for segment in sorted(video.segments, key=lambda s: (s.start, s.end, s.label)):
        verdicts = []
        if known is not None and segment.label not in known:
            doctor.find("unknown_label", path, f"{segment}: {segment.label!r} is no class ({video.where})")
            continue
        if segment.end < segment.start:
            doctor.find("reversed", path, f"{segment} ends before it starts")
            continue
        if segment.end == segment.start:
            verdicts.append(doctor.find("zero_length", path, f"{segment} has no length"))
        if any(_same(segment, other) for other in reversed(kept)):
            verdicts.append(doctor.find("duplicate", path, f"{segment} stands there twice"))
        beyond = segment.start >= duration < segment.end
        if beyond or segment.start < -SAME or segment.end > duration + layout.end_tolerance:
            verdicts.append(doctor.find("outside", path, f"{segment}, but the video has {duration:g} s"))
        if "skip" in verdicts:
            continue
        kept.append(segment)
    if layout.policy.outside == "cut":
        cut = [(segment, _within(segment, duration)) for segment in kept]
        # those that lay outside altogether have no length any more
        return tuple(inside for whole, inside in cut if inside.end > inside.start or whole.end == whole.start)
    return tuple(kept)


def empty_subsets(
    splits: Mapping[str, str], seen: Mapping[str, int], videos: Mapping[str, list[int]], doctor: Doctor
) -> None:
    """Subsets that a protocol needs and that hold nothing to learn from or to measure on.

    splits: subset -> split; seen: videos of each subset in the files; videos: split -> segments in each video.
    """
    names = {name.lower() for name in seen}
    for subset, split in splits.items():
        if subset.lower() not in names or not videos.get(split):
            there = ", ".join(f"{name!r} ({count})" for name, count in sorted(seen.items())) or "none"
            doctor.find("empty_subset", subset, f"no video for {split}; subsets in the annotations (videos): {there}")
        elif not sum(videos[split]):
            doctor.find(
                "empty_subset",
                subset,
                f"{len(videos[split])} videos for {split}, but not one annotated segment",
            )


def _same(segment: RawSegment, other: RawSegment) -> bool:
    return (
        segment.label == other.label
        and abs(segment.start - other.start) <= SAME
        and abs(segment.end - other.end) <= SAME
    )


def _within(segment: RawSegment, duration: float) -> RawSegment:
    return replace(segment, start=min(max(segment.start, 0.0), duration), end=min(max(segment.end, 0.0), duration))
