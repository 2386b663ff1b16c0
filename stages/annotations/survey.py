"""From what annotation files say to videos that can be used: found on disk, measured, judged."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from engine.run.context import Context
from stages.annotations.doctor import Doctor, empty_subsets, locate, measure, usable_segments
from stages.annotations.headers import Header, read_headers
from stages.annotations.raw import RawSegment, RawVideo, Read
from stages.annotations.spec import ActivityNetLayout, Config
from stages.listing import judge
from stages.listing.contents import contents_of
from stages.listing.files import Seen, look_at
from stages.listing.found import Entry, Found
from stages.tal.durations import DurationSource
from stages.video.listing import SPLITS, Trouble


@dataclass(frozen=True)
class Usable:
    """A video that is left after all checks. duration in seconds, from ``source``; segments by start."""

    path: str
    split: str
    size: int
    digest: str
    duration: float
    source: DurationSource
    segments: tuple[RawSegment, ...]


def survey(
    read: Read, root: Path, config: Config, labels: frozenset[str] | None, doctor: Doctor, context: Context
) -> list[Usable]:
    """All usable videos, sorted by path. labels: of the classes, if they are known.

    Raises UserError when files contradict themselves, too many videos are absent, or the policy does not forgive.
    """
    found = Found(errors=read.errors, named=len(read.videos))
    there, missing = locate(read.videos, contents_of(root, config.pictures), doctor)
    found.entries = [Entry(path, "", video.split, "", video.where) for video, path in there]
    judge.same_path(found)
    doctor.troubles += found.troubles
    found.raise_errors(root)
    found.absent = [(video.where, video.name) for video in missing]
    for warning in judge.absent(found, root, config.layout):
        context.warn(warning)

    usable = []
    for video, path, seen, header in _opened(there, root, config, doctor, context):
        chosen = measure(video, path, header, config.layout, doctor)
        if chosen is not None:
            segments = usable_segments(video, path, chosen[0], labels, config.layout, doctor)
            usable.append(Usable(path, video.split, seen.size, seen.digest, *chosen, segments))
    broken = doctor.counts["unreadable"]
    if broken > config.layout.missing_limit * len(there):
        doctor.refused.append(f"{broken} of {len(there)} videos are unreadable, more than missing_limit allows")
    counts = {split: [len(v.segments) for v in usable if v.split == split] for split in SPLITS}
    empty_subsets(_subsets(config), read.subsets, counts, doctor)
    doctor.raise_refused(config.dataset)
    return sorted(usable, key=lambda video: video.path)


def _opened(
    there: Iterable[tuple[RawVideo, str]], root: Path, config: Config, doctor: Doctor, context: Context
) -> list[tuple[RawVideo, str, Seen, Header]]:
    """Videos whose files can be read, each once, with what was seen of the file and its header."""
    videos = {path: video for video, path in reversed(list(there))}
    seen: dict[str, Seen] = {}
    for path, what in zip(videos, look_at(root, list(videos))):
        if isinstance(what, str):
            doctor.find("unreadable", path, what)
        else:
            seen[path] = what
            doctor.troubles += [
                Trouble(f"{path}/{stray}", "ignored: it is no picture of the video") for stray in what.strays
            ]
    digests = {path: what.digest for path, what in seen.items()}
    headers = dict(
        context.progress(read_headers(root, digests, context.store, config.fps), "opening videos", len(digests))
    )
    return [(videos[path], path, what, headers[path]) for path, what in sorted(seen.items())]


def _subsets(config: Config) -> dict[str, str]:
    """Split of each subset that the study needs, by its name in the files."""
    layout = config.layout
    if isinstance(layout, ActivityNetLayout):
        return dict(layout.subsets)
    return {split: split for split in ("train", "test") if getattr(layout, split)}
