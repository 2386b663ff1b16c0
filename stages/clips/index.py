"""``clips.parquet``: one row for each usable video. Equal data give equal bytes, however and whenever they were checked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from stages.video.checks import checked_table
from stages.video.clips import Source
from stages.video.index import Checked
from stages.video.listing import Listing, Video, write_parquet

_FROM_CHECK = (
    "frames", "fps", "rotate", "first", "last", "duration", "audio",
    "seek_frames", "seek_times", "seek_drops", "seek_marks",
)  # fmt: skip


@dataclass(frozen=True)
class Row:
    """A usable video, its class number, and what the check found."""

    video: Video
    target: int
    checked: Checked


def usable_rows(
    listing: Listing, found: Mapping[str, Checked], fps: float | None = None, timed: bool = False
) -> list[Row]:
    """The videos with at least one frame, sorted by path. fps: frames a second where the videos do not say it.

    timed: those whose end is damaged are left out too.
    """
    targets = {name: i for i, name in enumerate(listing.classes)}
    usable = [
        (v, found[v.digest])
        for v in sorted(listing.videos)
        if found[v.digest].usable and not (timed and found[v.digest].status == "partial")
    ]
    return [Row(v, targets[v.label], _timed(checked, fps) if fps else checked) for v, checked in usable]


def _timed(checked: Checked, fps: float) -> Checked:
    """What a check of pictures cannot know: when they are shown."""
    return replace(checked, fps=fps, first=0.0, last=(checked.frames - 1) / fps, duration=checked.frames / fps)


def write_clips(folder: Path, rows: Sequence[Row], source: Source) -> None:
    """Write ``clips.parquet`` and ``clips.json``. width and height are the display size, before any scaling."""
    import pyarrow as pa

    text = pa.string()
    # a table of checks has one row a digest: take one for every video, twins included
    checks = checked_table({f"{i:09d}": row.checked for i, row in enumerate(rows)})
    table = pa.table(
        {
            **{name: pa.array([getattr(r.video, name) for r in rows], text) for name in ("path", "label")},
            "target": pa.array([r.target for r in rows], pa.int64()),
            **{
                name: pa.array([getattr(r.video, name) for r in rows], text)
                for name in ("split", "group", "digest")
            },
            "width": pa.array([r.checked.display_size[0] for r in rows], pa.int64()),
            "height": pa.array([r.checked.display_size[1] for r in rows], pa.int64()),
            **{name: checks[name] for name in _FROM_CHECK},
        }
    )
    write_parquet(table, folder / "clips.parquet")
    source.write(folder)
