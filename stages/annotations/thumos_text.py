"""THUMOS14 as published: ``<Class>_val.txt`` and ``<Class>_test.txt`` with lines ``<video> <start> <end>``."""

from __future__ import annotations

from pathlib import Path

from engine.errors import UserError
from stages.annotations.raw import RawSegment, Read, grouped, seconds
from stages.listing.files import lines, where

_ENDINGS = {"train": "_val.txt", "test": "_test.txt"}


def read_texts(root: Path, folder: Path, split: str) -> Read:
    """All classes of a split. Raises UserError when the folder has no file of that split."""
    ending = _ENDINGS[split]
    files = sorted(path for path in folder.iterdir() if path.name.endswith(ending))
    if not files:
        raise UserError(f"{folder} has no files <Class>{ending} with lines `<video> <start> <end>`")
    read, rows = Read(), []
    for file in files:
        label = file.name.removesuffix(ending)
        for number, line in lines(file):
            fields = line.split()
            times = [seconds(field) for field in fields[1:]]
            if len(times) != 2 or None in times:
                read.errors.append(f"{where(root, file, number)}: expected `<video> <start> <end>`, not {line!r}")
                continue
            rows.append((fields[0], RawSegment(*times, label), None))
    grouped(read, rows, split, where(root, folder))
    return read
