"""What a set of snippet features is: its videos with their geometry in time, and where it comes from.

Written by ``snippets`` and ``published_features``; the features themselves lie in the store, see
``stages.snippets.shards``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path

import numpy as np
from pydantic import Field, JsonValue, ValidationError

from engine.errors import UserError
from engine.spec.component import Strict
from stages.snippets.shards import ShelfReader, places, shelf_folder
from stages.tal.durations import DurationSource

PARQUET, JSON = "snippets.parquet", "snippets.json"


@dataclass(frozen=True)
class SnippetVideo:
    """A video. path: as in the listing; label: its own, see ``main_label``; name: what the store calls its features.

    frames and fps: of the file, 0 where features come from elsewhere; duration: seconds, in the annotations' clock.
    """

    path: str
    split: str
    group: str
    label: str
    name: str
    frames: int
    fps: float
    duration: float
    duration_from: DurationSource


class Shelf(Strict):
    """key: of the features in the store; weights: digest of the encoder's, "" where it is not known."""

    key: str
    weights: str


class Origin(Strict):
    """How the features were made.

    snippets: L; width: D. frames, stride, size: of a snippet, in frames and pixels, and short_side: of the video it was
    cut from; 0 where not known. view: what the encoder saw. shelves: seed -> features. source: anything more.
    """

    snippets: int
    width: int
    frames: int = 0
    stride: int = 0
    size: int = 0
    short_side: int = 0
    view: str = ""
    shelves: dict[str, Shelf]
    source: dict[str, JsonValue] = Field(default={})


@dataclass(frozen=True)
class SnippetIndex:
    """Videos sorted by path, and how their features were made."""

    videos: tuple[SnippetVideo, ...]
    origin: Origin

    def rows(self, split: str) -> np.ndarray:
        """Rows of the videos of a split, int64, ascending."""
        return np.array([row for row, video in enumerate(self.videos) if video.split == split], np.int64)

    def reader(self, seed: int, store: Path) -> SnippetReader:
        """Features by the encoder of ``seed``. Raises UserError when they are not in the store."""
        shelf = self.origin.shelves[str(seed)]
        folder = shelf_folder(store, shelf.key)
        found = places(folder, [video.name for video in self.videos])
        missing = [video.path for video in self.videos if video.name not in found]
        if missing:
            raise UserError(
                f"features of {len(missing)} of {len(self.videos)} videos are not in {folder} (first: {missing[0]}). "
                "The store was cleared or is another one: set VIDSPEC_STORE, or encode again with "
                "`dvc repro --force --single-item` and the name of the snippets stage"
            )
        return SnippetReader(tuple(video.name for video in self.videos), ShelfReader(found))

    def write(self, folder: Path) -> None:
        """Write ``snippets.parquet`` and ``snippets.json``: equal videos give equal bytes."""
        import pyarrow as pa

        from stages.video.listing import write_parquet

        kinds = {"frames": pa.int64(), "fps": pa.float64(), "duration": pa.float64()}
        rows = [asdict(video) for video in self.videos]
        columns = {
            field.name: pa.array([row[field.name] for row in rows], kinds.get(field.name, pa.string()))
            for field in fields(SnippetVideo)
        }
        write_parquet(pa.table(columns), folder / PARQUET)
        (folder / JSON).write_text(self.origin.model_dump_json(indent=1) + "\n", encoding="utf-8")

    @staticmethod
    def open(folder: Path) -> SnippetIndex:
        """Read what ``write`` wrote. Raises UserError when there is nothing."""
        import pyarrow.parquet as pq

        try:
            origin = Origin.model_validate_json((folder / JSON).read_text(encoding="utf-8"))
            rows = pq.read_table(folder / PARQUET).to_pylist()
        except FileNotFoundError as error:
            raise UserError(
                f"{error.filename or folder}: no such file; run the snippets stage that makes it"
            ) from None
        except ValidationError as error:
            raise UserError(f"{folder / JSON} is no index of snippets: {error.errors()[0]['msg']}") from None
        return SnippetIndex(tuple(SnippetVideo(**row) for row in rows), origin)


@dataclass(frozen=True)
class SnippetReader:
    """Features of the videos of an index by row. May be sent to loader workers."""

    names: tuple[str, ...]
    shelf: ShelfReader

    def read(self, row: int) -> np.ndarray:
        """float32 [L, D]."""
        return self.shelf.read(self.names[row])

    def means(self, rows: Sequence[int] | np.ndarray) -> np.ndarray:
        """Mean over the snippets of each video: float64 [rows, D]."""
        return np.stack([self.read(int(row)).mean(axis=0, dtype=np.float64) for row in rows])


def shelf_keys(folder: Path) -> Mapping[str, str]:
    """Seed -> key of the shelf that an output folder names; empty where it is no index of snippets."""
    if not (folder / JSON).is_file():
        return {}
    return {seed: shelf.key for seed, shelf in SnippetIndex.open(folder).origin.shelves.items()}
