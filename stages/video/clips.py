"""The videos of a data set as trainings and evaluations see them: rows with labels, and frames by number."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from engine.errors import UserError
from stages.video.container import VideoError
from stages.video.decode import SeekPoints, fit, read_frames
from stages.video.listing import read_classes
from stages.video.shards import Packing, ShardReader, places

if TYPE_CHECKING:
    from engine.run.context import Context
    from engine.run.local import Local


@dataclass(frozen=True)
class Source:
    """Where frames come from, as ``clips.json`` says; nothing in it depends on the machine.

    dataset: name whose root holds the videos, or None: they lie in ``beside``, a path relative to the folder that holds
    the clips folder. packing: key of the packed frames in the store, or None: videos are decoded when read.
    short_side: frames are scaled down to it, in both cases.
    """

    dataset: str | None
    beside: str | None
    packing: str | None
    short_side: int

    @property
    def frames_key(self) -> str:
        """What the frames are like, as part of the name of things that are computed from them."""
        return self.packing or f"decoded-{self.short_side}"

    def write(self, folder: Path) -> None:
        text = json.dumps(self.__dict__, indent=1, sort_keys=True)
        (folder / "clips.json").write_text(text + "\n", encoding="utf-8")

    @staticmethod
    def read(folder: Path) -> Source:
        return Source(**json.loads((folder / "clips.json").read_text(encoding="utf-8")))


class Clips:
    """All usable videos of a data set, one row each, sorted by path. May be sent to loader workers.

    classes: names by target. paths: relative to the root; digests: of the files. splits, labels: by row. frames, targets, groups: int64 [rows]; groups
    number the sources of the videos, and a video of unknown source is a group of its own. sizes: int64 [rows, 2], width and
    height of what ``read`` returns.
    """

    def __init__(self, folder: Path, local: Local) -> None:
        import pyarrow.parquet as pq

        columns = pq.read_table(folder / "clips.parquet").to_pydict()
        self.folder, self._local = folder, local
        self.source = Source.read(folder)
        self.classes = read_classes(folder)
        self.paths: list[str] = columns["path"]
        self.labels: list[str] = columns["label"]
        self.splits: list[str] = columns["split"]
        self.frames = np.array(columns["frames"], np.int64)
        self.targets = np.array(columns["target"], np.int64)
        self.groups = _numbered(columns["group"])
        self.digests: list[str] = columns["digest"]
        self._rotate = np.array(columns["rotate"], np.int64)
        sizes = zip(columns["width"], columns["height"])
        self.sizes = np.array([fit(w, h, self.source.short_side) for w, h in sizes], np.int64).reshape(-1, 2)
        self._points = [columns[f"seek_{name}"] for name in ("frames", "times", "drops", "marks")]
        self._shards = self._open_shards(local.store_folder) if self.source.packing else None

    @staticmethod
    def open(folder: Path, context: Context) -> Clips:
        """Open the output of a clips stage. Raises UserError when its packed frames are not in the store."""
        return Clips(folder, context.local)

    def __len__(self) -> int:
        return len(self.paths)

    def split(self, name: str) -> np.ndarray:
        """Rows of a split (``train``, ``val``, ``test``), int64, ascending; empty if there are none."""
        return np.array([row for row, split in enumerate(self.splits) if split == name], np.int64)

    def read(self, row: int, frame_numbers: np.ndarray) -> np.ndarray:
        """Frames of a video by their numbers (int [T], any order, repeats allowed): RGB uint8 [T, H, W, 3], upright.

        Raises IndexError for a number that the video does not have, UserError when the video has gone or is damaged.
        """
        numbers = np.asarray(frame_numbers, np.int64)
        if len(numbers) and not 0 <= numbers.min() <= numbers.max() < self.frames[row]:
            raise IndexError(
                f"{self.paths[row]} has {self.frames[row]} frames, not {numbers.min()}..{numbers.max()}"
            )
        width, height = (int(v) for v in self.sizes[row])
        if not len(numbers):
            return np.empty((0, height, width, 3), np.uint8)
        if self._shards is not None:
            return self._shards.read(self.digests[row], numbers)
        path = self._root / self.paths[row]
        points = SeekPoints(*(np.array(column[row], np.int64) for column in self._points))
        try:
            return read_frames(path, numbers, (width, height), int(self._rotate[row]), points)
        except VideoError as error:
            raise UserError(
                f"{path}: {error}. It was readable when the data set was checked; run again to check it anew."
            ) from None

    @cached_property
    def _root(self) -> Path:
        if self.source.dataset is not None:
            return self._local.root(self.source.dataset)
        return (self.folder.parent / self.source.beside).resolve()

    def _open_shards(self, store: Path) -> ShardReader:
        packing = Packing.from_key(self.source.packing)
        found = places(store, packing, self.digests)
        missing = [path for path, digest in zip(self.paths, self.digests) if digest not in found]
        if missing:
            raise UserError(
                f"packed frames of {len(missing)} of {len(self)} videos are not in {packing.folder(store)} (first: {missing[0]}). "
                f"The store was cleared or is another one: set VIDSPEC_STORE, or pack again with `dvc repro --force --single-item` "
                f"and the name of the clips stage."
            )
        return ShardReader(found)


def _numbered(names: list[str]) -> np.ndarray:
    """Number equal names alike, in sorted order; every "" gets a number of its own after them."""
    numbers = {name: i for i, name in enumerate(sorted(set(names) - {""}))}
    out = np.empty(len(names), np.int64)
    single = len(numbers)
    for row, name in enumerate(names):
        out[row] = numbers[name] if name else single
        single += not name
    return out
