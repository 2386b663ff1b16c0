"""Kinetics' csv files, and the lists of paths that the SlowFast family reads."""

from __future__ import annotations

import csv
import io
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from stages.listing.contents import Contents, is_video_name
from stages.listing.files import read_classes_file, read_text, where
from stages.listing.found import Entry, Found
from stages.listing.spec import KineticsLayout

_HEADER = {"label", "youtube_id", "time_start", "time_end"}
_VIDEOS = ("", "videos")
_COUNTED = re.compile(r"(.+?)[\s,]+\d+$")
"""A path, and the number of pictures."""


@dataclass(frozen=True)
class _Row:
    """A line of a list: the name (``<label>/<id>_<start>_<end>`` or a path) and the label as written."""

    line: int
    named: str
    label: str
    is_clip: bool


def read_kinetics(root: Path, layout: KineticsLayout, contents: Contents) -> Found:
    """Each list is read by its first line: Kinetics' header, or else ``<path>,<label>`` or ``<path> <label>``.

    Lists of folders of pictures may have the number of pictures between the two, as MMAction's have.
    """
    found = Found()
    rows: list[tuple[str, Path, _Row]] = []
    for split in ("train", "val", "test"):
        if name := getattr(layout, split):
            rows += [(split, root / name, row) for row in _rows(root, root / name, found, contents)]
    labels = {row.label for _, _, row in rows}
    found.classes, names = _classes(root, layout, labels)
    for split, file, row in rows:
        place = where(root, file, row.line)
        if row.label not in names:
            found.errors.append(f"{place}: label {row.label!r} is not in {layout.classes}")
            continue
        found.named += 1
        if row.is_clip:
            path = _find_clip(contents, row, file.stem, split)
        else:
            path = _find_path(contents, row.named, root)
        if path is None:
            found.miss(place, row.named)
        else:
            found.entries.append(Entry(path, names[row.label], split, "", place))
    return found


def _rows(root: Path, path: Path, found: Found, contents: Contents) -> Iterator[_Row]:
    text = read_text(path)
    reader = csv.reader(io.StringIO(text, newline=""))
    header = [cell.strip() for cell in next(reader, [])]
    if _HEADER <= set(header):
        yield from _kinetics_rows(where(root, path), header, reader, found)
    else:
        for row in _path_rows(where(root, path), text, found):
            if row.line > 1 or _is_named(contents, row.named, root):  # else a header such as `path,label`
                yield row


def _kinetics_rows(name: str, header: list[str], reader: Iterator[list[str]], found: Found) -> Iterator[_Row]:
    """Labels may be quoted and contain commas, ids may begin with ``-``: a csv parser, and no splitting of names."""
    for cells in reader:
        line = reader.line_num  # type: ignore[attr-defined]
        if not any(cells):
            continue
        row = dict(zip(header, (cell.strip() for cell in cells)))
        try:
            start, end = int(float(row["time_start"])), int(float(row["time_end"]))
            yield _Row(line, f"{row['label']}/{row['youtube_id']}_{start:06d}_{end:06d}", row["label"], True)
        except (KeyError, ValueError):
            found.errors.append(f"{name}:{line}: expected {','.join(header)}, not {','.join(cells)!r}")


def _path_rows(name: str, text: str, found: Found) -> Iterator[_Row]:
    """Label after the last comma (which may be quoted), or after the last blank where there is no comma."""
    for line, content in enumerate(text.split("\n"), 1):
        content = content.strip()
        if not content:
            continue
        cells = next(csv.reader([content])) if "," in content else content.rsplit(None, 1)
        named, label = ",".join(cells[:-1]).strip(), cells[-1].strip()
        if not named or not label:
            found.errors.append(
                f"{name}:{line}: expected `<path>,<label>` or `<path> <label>`, not {content!r}"
            )
        else:
            yield _Row(line, named, label, False)


def _classes(root: Path, layout: KineticsLayout, labels: set[str]) -> tuple[tuple[str, ...], dict[str, str]]:
    """Class names by target, and label as written -> class name. Labels that are numbers index the class list."""
    numbers = bool(labels) and all(label.isdecimal() for label in labels)
    if layout.classes:
        classes = read_classes_file(root, layout.classes)
        return classes, {str(i): n for i, n in enumerate(classes)} if numbers else {n: n for n in classes}
    if numbers:
        classes = tuple(str(i) for i in range(max(map(int, labels)) + 1))
        return classes, {label: str(int(label)) for label in labels}
    return tuple(sorted(labels)), {label: label for label in labels}


def _find_clip(contents: Contents, row: _Row, list_name: str, split: str) -> str | None:
    """Copies lie in a folder named after the label, after the list, or both; ids are told apart by case."""
    hits = contents.by_stem.get(PurePosixPath(row.named).name, [])
    labels = {row.label, row.label.replace(" ", "_")}

    def rank(path: str) -> tuple[bool, bool, str]:
        parts = PurePosixPath(path).parts[:-1]
        return not labels.intersection(parts), not {list_name, split}.intersection(parts), path

    return min(hits, key=rank, default=None)


def _find_path(contents: Contents, named: str, root: Path) -> str | None:
    path = contents.find(_relative(named, root), _VIDEOS)
    if path is None and contents.pictures and (counted := _COUNTED.match(named)):
        path = contents.find(_relative(counted[1], root), _VIDEOS)
    return path


def _is_named(contents: Contents, named: str, root: Path) -> bool:
    """Whether ``named`` is meant for a video: by its ending; a folder of pictures by its folder, or since it is there."""
    if contents.pictures:
        return "/" in named or _find_path(contents, named, root) is not None
    return is_video_name(named)


def _relative(named: str, root: Path) -> str:
    """Absolute paths in lists are taken relative to the root where they lie in it."""
    if os.path.isabs(named) and os.path.abspath(named).startswith(os.path.abspath(root) + os.sep):
        return os.path.relpath(named, root)
    return named
