"""The listing of a data set: which videos there are, their labels and splits. Written by ``listing`` and ``synthetic``."""

from __future__ import annotations

import csv
import hashlib
import json
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields
from pathlib import Path

SPLITS = ("train", "val", "test")

_BLOCK = 64 * 1024


@dataclass(frozen=True, order=True)
class Video:
    """One video. path: posix, relative to the root; group: its source, "" if unknown; size in bytes; digest: hex."""

    path: str
    label: str
    split: str
    group: str
    size: int
    digest: str


@dataclass(frozen=True, order=True)
class Trouble:
    """A line of ``problems.csv``: what is wrong with which video (or class, or line of a split file)."""

    path: str
    problem: str


@dataclass(frozen=True)
class Listing:
    """Videos sorted by path, and the class names whose position is the target."""

    videos: tuple[Video, ...]
    classes: tuple[str, ...]


def digest(path: Path) -> tuple[int, str]:
    """Size of a file and a hash of its size, beginning, middle and end (64 KB each), as 32 hex digits.

    Cheap, so that a data set can be looked at in every run; a change of a video changes its size or these parts.
    """
    with open(path, "rb", buffering=0) as file:
        size = os.fstat(file.fileno()).st_size
        hasher = hashlib.blake2b(size.to_bytes(8, "big"), digest_size=16)
        if size <= 3 * _BLOCK:
            hasher.update(file.read())
        else:
            for start in (0, (size - _BLOCK) // 2, size - _BLOCK):
                file.seek(start)
                hasher.update(file.read(_BLOCK))
    return size, hasher.hexdigest()


def write_listing(folder: Path, listing: Listing, troubles: Iterable[Trouble] = ()) -> None:
    """Write ``listing.parquet``, ``classes.json`` and ``problems.csv`` into ``folder``, sorted."""
    import pyarrow as pa

    videos = sorted(listing.videos)
    columns = {
        f.name: pa.array(
            [getattr(v, f.name) for v in videos], pa.int64() if f.name == "size" else pa.string()
        )
        for f in fields(Video)
    }
    table = pa.table(columns)
    write_parquet(table, folder / "listing.parquet")
    write_classes(folder, listing.classes)
    write_problems(folder, troubles)


def read_listing(folder: Path) -> Listing:
    """Read what ``write_listing`` wrote."""
    import pyarrow.parquet as pq

    rows = pq.read_table(folder / "listing.parquet", columns=[f.name for f in fields(Video)]).to_pylist()
    return Listing(tuple(sorted(Video(**row) for row in rows)), read_classes(folder))


def write_classes(folder: Path, classes: Sequence[str]) -> None:
    """Write ``classes.json``: the list of class names."""
    text = json.dumps(list(classes), indent=1, ensure_ascii=False)
    (folder / "classes.json").write_text(text + "\n", encoding="utf-8")


def read_classes(folder: Path) -> tuple[str, ...]:
    """Read ``classes.json``."""
    return tuple(json.loads((folder / "classes.json").read_text(encoding="utf-8")))


def write_problems(folder: Path, troubles: Iterable[Trouble]) -> None:
    """Write ``problems.csv``, sorted; with a header even if there is nothing to report."""
    with open(folder / "problems.csv", "w", newline="", encoding="utf-8", errors="backslashreplace") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["path", "problem"])
        writer.writerows((t.path, t.problem) for t in sorted(set(troubles)))


def write_parquet(table: object, path: Path) -> None:
    """Write a pyarrow table with fixed settings: equal tables give equal bytes."""
    import pyarrow.parquet as pq

    pq.write_table(
        table, path, compression="zstd", compression_level=3, write_statistics=False, store_schema=False
    )
