"""What was found out about each video, kept in the store by digest, so that a video is decoded and checked once."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from pathlib import Path

import numpy as np

from stages.video.decode import SeekPoints
from stages.video.index import Checked
from stages.video.shards import publish_parquet

VERSION = 2
"""Raised when the same file would be judged differently by newer code."""


def checks_folder(store: Path) -> Path:
    """The folder of the results; also keyed by FFmpeg's version, since another one may seek or fail elsewhere."""
    import av

    codec, container = av.library_versions["libavcodec"], av.library_versions["libavformat"]
    return store / "checks" / f"v{VERSION}-avcodec{codec[0]}.{codec[1]}-avformat{container[0]}.{container[1]}"


def save_checks(folder: Path, found: Mapping[str, Checked]) -> None:
    """Add results by digest: one new file, complete or absent."""
    if not found:
        return
    folder.mkdir(parents=True, exist_ok=True)
    publish_parquet(checked_table(found), folder / f"{uuid.uuid4().hex}.parquet")


def load_checks(folder: Path, digests: Iterable[str]) -> dict[str, Checked]:
    """Results for these digests, as far as there are any."""
    import pyarrow as pa
    import pyarrow.compute as pc
    import pyarrow.parquet as pq

    wanted = pa.array(sorted(set(digests)), pa.string())
    found: dict[str, Checked] = {}
    for path in sorted(folder.glob("*.parquet")):
        table = pq.read_table(path)
        found.update(checked_rows(table.filter(pc.is_in(table["digest"], value_set=wanted))))
    return found


def checked_table(found: Mapping[str, Checked]) -> object:
    """A pyarrow table with a row for each result, sorted by digest."""
    import pyarrow as pa

    rows = []
    for digest, checked in sorted(found.items()):
        row = asdict(checked)
        points = row.pop("points")
        rows.append({"digest": digest, **row, **{f"seek_{k}": v.tolist() for k, v in points.items()}})
    return pa.Table.from_pylist(rows, schema=_schema())


def checked_rows(table: object) -> dict[str, Checked]:
    """The results in a table made by ``checked_table``, by digest."""
    found = {}
    for row in table.to_pylist():
        digest = row.pop("digest")
        points = {k: np.array(row.pop(f"seek_{k}"), np.int64) for k in ("frames", "times", "drops", "marks")}
        found[digest] = Checked(**row, points=SeekPoints(**points))
    return found


def _schema() -> object:
    import pyarrow as pa

    text, whole, real, list_ = pa.string(), pa.int64(), pa.float64(), pa.list_(pa.int64())
    return pa.schema(
        [
            ("digest", text), ("status", text), ("problem", text), ("width", whole), ("height", whole), ("rotate", whole),
            ("frames", whole), ("fps", real), ("first", real), ("last", real), ("duration", real), ("drift", real), ("audio", text),
            ("seek_frames", list_), ("seek_times", list_), ("seek_drops", list_), ("seek_marks", list_),
        ]
    )  # fmt: skip
