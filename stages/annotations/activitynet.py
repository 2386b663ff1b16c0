"""ActivityNet's JSON, which HACS and many others share. Times may be text, as in a THUMOS14 file that goes round."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from engine.errors import UserError
from stages.annotations.raw import RawSegment, RawVideo, Read, seconds
from stages.listing.files import read_text, where


def read_activitynet(root: Path, file: str, subsets: Mapping[str, str]) -> Read:
    """Videos of the ``subsets`` (name in any case -> split). Raises UserError when the file is not of this form."""
    read = Read()
    splits = {name.lower(): split for name, split in subsets.items()}
    path = root / file
    content = _load(path)
    place = where(root, path)
    read.known_labels = _node_names(content.get("taxonomy"))
    for name, entry in content["database"].items():
        at = f"{place}: database[{name!r}]"
        if not isinstance(entry, dict) or not isinstance(entry.get("subset"), str):
            read.errors.append(f"{at} has no subset")
            continue
        subset = entry["subset"]
        read.subsets[subset] = read.subsets.get(subset, 0) + 1
        if subset.lower() in splits:
            segments = tuple(_segments(entry, at, read.errors))
            read.videos.append(RawVideo(name, splits[subset.lower()], _duration(entry, at, read), segments, at))
    others = {name: count for name, count in sorted(read.subsets.items()) if name.lower() not in splits}
    read.notes += [f"{count} videos of subset {name!r} are left out" for name, count in others.items()]
    return read


def _load(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(read_text(path))
    except ValueError as error:
        raise UserError(f"{path} is not JSON: {error}") from None
    if not isinstance(content, dict) or not isinstance(content.get("database"), dict):
        raise UserError(
            f"{path} has no field `database` with an entry for each video: it is not in ActivityNet's form"
        )
    return content


def _segments(entry: Mapping[str, Any], at: str, errors: list[str]) -> Iterator[RawSegment]:
    annotations = entry.get("annotations") or []
    if not isinstance(annotations, list):
        errors.append(f"{at}: annotations must be a list")
        return
    for number, annotation in enumerate(annotations):
        try:
            label, (start, end) = annotation["label"], map(seconds, annotation["segment"])
        except (KeyError, TypeError, ValueError):
            label = start = end = None
        if isinstance(label, str) and label and start is not None and end is not None:
            yield RawSegment(start, end, label)
        else:
            errors.append(f"{at}.annotations[{number}] must have a label and a segment [start, end] in seconds")


def _duration(entry: Mapping[str, Any], at: str, read: Read) -> float | None:
    if entry.get("duration") is None:
        return None
    duration = seconds(entry["duration"])
    if duration is None or duration < 0:
        read.errors.append(f"{at}: duration {entry['duration']!r} is no number of seconds")
        return None
    return duration or None


def _node_names(taxonomy: Any) -> frozenset[str] | None:
    """Names of all nodes of a taxonomy, inner ones too; None if there is no usable one."""
    nodes = taxonomy if isinstance(taxonomy, list) else []
    names = frozenset(n["nodeName"] for n in nodes if isinstance(n, dict) and isinstance(n.get("nodeName"), str))
    return names or None
