"""ActivityNet's result file: what the official evaluation reads, and challenge servers."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, Literal

from engine.errors import UserError
from stages.listing.contents import is_video_name
from stages.tal.segments import Segments, best_first

VERSION = "VERSION 1.3"
SHOWN = 5
"""Names in a message, of all that are wrong."""


@dataclass(frozen=True)
class Skipped:
    """What a file has beyond the videos and classes asked for, sorted; detections: how many lie there."""

    videos: tuple[str, ...]
    labels: tuple[str, ...]
    detections: int


def id_of_path(path: str) -> str:
    """Id of the video at a path of the listing: ``id_of_name`` of what the file is called, without a video's ending.

    Folders of pictures have no ending.
    """
    name = PurePosixPath(path)
    return id_of_name(name.stem if is_video_name(path) else name.name)


def id_of_name(name: str) -> str:
    """Id of a video by its name in a file of annotations, scores or results: without ``v_`` before a YouTube id.

    Feature sets and file names have this prefix, ActivityNet's JSON has not. Ids may begin with ``v_``
    themselves, so that only the length, 11 characters, tells; names that are no YouTube ids stay as they are, with all
    of their dots.
    """
    return name[2:] if re.fullmatch(r"v_[A-Za-z0-9_-]{11}", name) else name


def ids_of_paths(videos: Sequence[str]) -> dict[str, int]:
    """Id -> number of each of ``videos``, paths of the listing. Raises UserError when two have one id."""
    ids: dict[str, int] = {}
    for number, path in enumerate(videos):
        earlier = ids.setdefault(id_of_path(path), number)
        if earlier != number:
            raise UserError(
                f"{videos[earlier]} and {path} have the same id in a result file, {id_of_path(path)}: "
                "rename one of them"
            )
    return ids


def write_results(
    path: Path,
    detections: Segments,
    videos: Sequence[str],
    classes: Sequence[str],
    external: str = "",
    version: str = VERSION,
) -> None:
    """Write detections as JSON, a line for each of ``videos`` (also for those without), sorted by id, the best first.

    videos: paths, which ``detections.video`` numbers; classes: names, which ``detections.label`` numbers; external:
    what else than the data set was learned from, "" if nothing. Numbers are written such that reading gives the same
    bits. Raises ValueError for a detection without a class.
    Raises UserError when two videos would have one id.
    """
    ids = ids_of_paths(videos)
    ordered = detections.take(best_first(detections))
    lines: dict[str, list[str]] = {name: [] for name in sorted(ids)}
    columns = (ordered.video, ordered.start, ordered.end, ordered.label, ordered.score)
    names = {number: name for name, number in ids.items()}
    labels = [_text(name) for name in classes]
    for video, start, end, label, score in zip(*(column.tolist() for column in columns), strict=True):
        if label < 0:
            raise ValueError("a detection without a class cannot be written to a result file")
        lines[names[video]].append(
            f'{{"label": {labels[label]}, "score": {score!r}, "segment": [{start!r}, {end!r}]}}'
        )
    external_data = {"used": bool(external), "details": external}
    with open(path, "w", encoding="utf-8", newline="\n") as file:
        file.write(
            f'{{"version": {_text(version)},\n"external_data": {json.dumps(external_data, ensure_ascii=False)},\n'
        )
        file.write('"results": {\n')
        file.write(",\n".join(f"{_text(name)}: [{', '.join(rows)}]" for name, rows in lines.items()))
        file.write("\n}}\n")


def read_results(
    path: Path, videos: Sequence[str], classes: Sequence[str], unknown: Literal["fail", "skip"] = "fail"
) -> tuple[Segments, Skipped]:
    """Read detections from such a file, written here or elsewhere; numbers are those of ``videos`` and ``classes``.

    Ids with and without ``v_`` are taken for the same. unknown: what to do with a video or class that is not among
    these. The official evaluation fails for a class, and counts detections in other videos as wrong.
    Raises UserError for a file that cannot be read or is not of this form, and says where.
    """
    ids, labels = ids_of_paths(videos), {name: number for number, name in enumerate(classes)}
    rows: list[tuple[int, float, float, int, float]] = []
    other_videos: set[str] = set()
    other_labels: set[str] = set()
    skipped = 0
    read: dict[str, str] = {}
    for name, found in _results(path).items():
        where = f"{path}: results[{name!r}]"
        if not isinstance(found, list):
            raise UserError(f"{where} must be a list of detections")
        known = id_of_name(name)
        if known in read:
            raise UserError(f"{where} and results[{read[known]!r}] are the same video: remove one")
        read[known] = name
        if known not in ids:
            other_videos.add(name)
        for number, (label, start, end, score) in enumerate(_detections(found, where)):
            if label not in labels:
                other_labels.add(label)
            if known not in ids or label not in labels:
                skipped += 1
            elif end < start:
                raise UserError(f"{where}[{number}] ends before it starts: [{start}, {end}]")
            else:
                rows.append((ids[known], start, end, labels[label], score))
    if unknown == "fail":
        _refuse(path, "video", other_videos, "the evaluated videos")
        _refuse(path, "label", other_labels, "the classes of the annotations")
    return Segments.of(rows), Skipped(tuple(sorted(other_videos)), tuple(sorted(other_labels)), skipped)


def _results(path: Path) -> Mapping[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror}") from error
    except ValueError as error:  # not JSON, or not UTF-8
        raise UserError(f"{path} is not JSON: {error}") from error
    if not isinstance(content, dict) or not isinstance(content.get("results"), dict):
        raise UserError(
            f"{path} has no field 'results' with a list of detections for each video: "
            "it is not a result file of ActivityNet's form"
        )
    return content["results"]


def _detections(found: list[Any], where: str) -> Iterator[tuple[str, float, float, float]]:
    """Label, start, end and score of each detection of a video."""
    for number, detection in enumerate(found):
        try:
            label, (start, end) = detection["label"], detection["segment"]
            values = float(start), float(end), float(detection["score"])
        except (KeyError, TypeError, ValueError) as error:
            raise UserError(
                f"{where}[{number}] must have a label, a segment [start, end] in seconds and a score, "
                f"not {_short(detection)}"
            ) from error
        if not isinstance(label, str) or not all(math.isfinite(value) for value in values):
            raise UserError(
                f"{where}[{number}]: the label must be a text and the numbers finite, not {_short(detection)}"
            )
        yield label, *values


def _refuse(path: Path, kind: str, others: set[str], known: str) -> None:
    if others:
        shown = ", ".join(sorted(others)[:SHOWN]) + (
            f" and {len(others) - SHOWN} more" if len(others) > SHOWN else ""
        )
        raise UserError(
            f"{path}: {len(others)} {kind}{'s' if len(others) > 1 else ''} not among {known}: {shown}. "
            "Check that it was made for this subset, or choose to skip them"
        )


def _short(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 80 else text[:77] + "..."


def _text(value: str) -> str:
    return json.dumps(value, ensure_ascii=False)
