"""What in the store no index names any more."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from pathlib import Path

from stages.video.clips import Source
from stages.video.flows import FlowShelf

UNFINISHED_AGE = 24 * 3600.0
"""Seconds after which a file that belongs to no index is taken for the remains of a killed run."""


def unused(
    store: Path, results: Iterable[Path], unfinished_age: float = UNFINISHED_AGE
) -> list[tuple[Path, int]]:
    """Files of packed frames and flow that can be removed, with their sizes in bytes, sorted.

    results: folders of stages whose results must stay readable; those that are no outputs of a clips or a flow stage are passed over. A
    shard is kept whole while one of its videos is named. Results of checks are small and always kept.
    """
    named: dict[str, set[str]] = {}
    for folder in results:
        if (folder / "clips.json").is_file() and (packing := Source.read(folder).packing):
            named.setdefault(f"frames/{packing}", set()).update(_names(folder / "clips.parquet"))
        if (folder / "flow.json").is_file():
            named.setdefault(f"flow/{FlowShelf.read(folder).key}", set()).update(_names(folder / "flow.parquet", "key"))
    return sorted(
        (path, path.stat().st_size)
        for kind in ("frames", "flow")
        for folder in (store / kind).glob("*")
        if folder.is_dir()
        for path in _unused_in(folder, named.get(f"{kind}/{folder.name}", set()), unfinished_age)
    )


def _unused_in(folder: Path, named: set[str], unfinished_age: float) -> Iterator[Path]:
    # listed before the indices: a shard that is published meanwhile has its index then
    rest = [path for path in folder.iterdir() if path.suffix != ".parquet"]
    indices = set(folder.glob("*.parquet"))
    for index in indices:
        if named.isdisjoint(_names(index)):
            yield index
            yield index.with_suffix(".bin")
    for path in rest:
        # a file without an index may be a shard that another run is just writing
        orphan = path.with_suffix(".parquet") not in indices
        if orphan and time.time() - path.stat().st_mtime > unfinished_age:
            yield path


def _names(path: Path, column: str = "digest") -> list[str]:
    """What an index calls its videos in shards."""
    import pyarrow.parquet as pq

    return pq.read_table(path, columns=[column])[column].to_pylist()
