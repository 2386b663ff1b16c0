"""Is the data set fit for an experiment? Leaks between training and test, empty classes, absent videos."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from engine.errors import UserError
from stages.listing.found import Entry, Found, listed
from stages.listing.spec import Limits
from stages.video.listing import Trouble, Video


def same_path(found: Found) -> list[Entry]:
    """Entries without repetitions. A path in two splits or with two labels is added to the errors, a plain repetition
    to the troubles."""
    first: dict[str, Entry] = {}
    for entry in found.entries:
        other = first.setdefault(entry.path, entry)
        if other is entry:
            continue
        if other.split != entry.split:
            found.errors.append(
                f"{entry.where}: {entry.path} is in {entry.split}, and in {other.split} ({other.where}): a leak"
            )
        elif other.label != entry.label:
            found.errors.append(
                f"{entry.where}: {entry.path} has label {entry.label!r}, and {other.label!r} ({other.where})"
            )
        else:
            found.troubles.append(Trouble(entry.path, f"named twice: {other.where} and {entry.where}"))
    return list(first.values())


def absent(found: Found, root: Path, limits: Limits) -> list[str]:
    """Warnings about absent videos. Raises UserError when there are more than allowed."""
    if not found.absent:
        return []
    title = f"{len(found.absent)} of {found.named} videos that the split files name are absent"
    lines = [f"{where}: {path}" for where, path in found.absent]
    if len(found.absent) > limits.missing_limit * found.named:
        raise UserError(
            listed(
                f"{title}, more than missing_limit ({limits.missing_limit:.0%}) allows. Is {root} the right root? Missing:",
                lines,
            )
        )
    return [f"{title} (problems.csv); first: {'; '.join(lines[:3])}"]


def leaks(videos: Sequence[Video], limits: Limits) -> tuple[list[Trouble], list[str]]:
    """Equal content under several names, and sources of which videos are in several splits: troubles and warnings.

    Raises UserError for those that reach from training into test or val, unless ``leaks: report``.
    """
    troubles: list[Trouble] = []
    crossing: list[str] = []
    for group in _alike(videos, lambda video: video.digest):
        names = ", ".join(f"{v.path} ({v.split})" for v in group)
        troubles += [Trouble(v.path, f"same content: {names}") for v in group]
        if len({v.split for v in group}) > 1:
            crossing.append(f"same content: {names}")
    for group in _alike((v for v in videos if v.group), lambda video: video.group):
        firsts = {v.split: v.path for v in reversed(group)}
        if len(firsts) > 1:
            names = ", ".join(f"{firsts[split]} ({split})" for split in sorted(firsts))
            crossing.append(f"same source {group[0].group!r}: {names}")
            troubles += [Trouble(v.path, crossing[-1]) for v in group]
    if crossing and limits.leaks == "fail":
        raise UserError(
            listed(
                f"{len(crossing)} leaks between splits. Take the videos out of one split, or set `leaks: report` in the spec's data "
                f"to go on all the same:",
                crossing,
            )
        )
    return troubles, [
        listed(f"{len(crossing)} leaks between splits (problems.csv):", crossing, 5)
    ] if crossing else []


def classes(videos: Sequence[Video], names: Sequence[str]) -> tuple[list[Trouble], list[str]]:
    """Classes without videos in a split that has videos: troubles and warnings."""
    counts: dict[tuple[str, str], int] = {}
    for video in videos:
        counts[video.label, video.split] = counts.get((video.label, video.split), 0) + 1
    troubles, warnings = [], []
    for split in sorted({video.split for video in videos}):
        empty = [name for name in names if (name, split) not in counts]
        troubles += [Trouble(name, f"empty class: no video in {split}") for name in empty]
        if empty:
            first = ", ".join(empty[:5]) + (" …" if len(empty) > 5 else "")
            warnings.append(f"{len(empty)} of {len(names)} classes have no video in {split}: {first}")
    return troubles, warnings


def _alike(videos: Iterable[Video], key: Callable[[Video], str]) -> list[list[Video]]:
    """Groups of at least two videos with the same key, sorted."""
    groups: dict[str, list[Video]] = {}
    for video in videos:
        groups.setdefault(key(video), []).append(video)
    return [sorted(group) for _, group in sorted(groups.items()) if len(group) > 1]
