"""Stored optical flow: where it lies, and reading it by frame numbers."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from engine.errors import UserError
from stages.video.flow_bytes import ZERO
from stages.video.flow_spec import FlowAlgorithm, FlowStorage
from stages.video.shards import ShardReader, places

if TYPE_CHECKING:
    from engine.run.context import Context
    from stages.video.clips import Clips


@dataclass(frozen=True)
class FlowShelf:
    """A folder of packed flow, ``flow/<key>`` in the store. The key tells what the flow was computed from, how, and how it is stored."""

    key: str
    kind: str
    quality: int
    bound: float
    channels: ClassVar[int] = 2

    @staticmethod
    def of(frames_key: str, algorithm: FlowAlgorithm, bound: float, storage: FlowStorage) -> FlowShelf:
        """The shelf of flow computed from frames that ``frames_key`` names; settings that differ in anything have another."""
        text = json.dumps(algorithm.model_dump(mode="json"), sort_keys=True)
        how = f"{algorithm.kind}-{hashlib.blake2b(text.encode(), digest_size=4).hexdigest()}"
        quality = storage.quality if storage.kind == "jpeg" else 0
        coding = f"jpeg-q{quality}" if quality else "raw"
        reach = repr(float(bound)).removesuffix(".0")  # all its digits, so that no two bounds share a folder
        return FlowShelf(f"{frames_key}.{how}-b{reach}-{coding}-v1", storage.kind, quality, bound)

    def folder(self, store: Path) -> Path:
        return store / "flow" / self.key

    def write(self, folder: Path) -> None:
        """Name the shelf in a flow stage's output."""
        (folder / "flow.json").write_text(json.dumps(asdict(self), indent=1, sort_keys=True) + "\n", encoding="utf-8")

    @staticmethod
    def read(folder: Path) -> FlowShelf:
        return FlowShelf(**json.loads((folder / "flow.json").read_text(encoding="utf-8")))


class Flows:
    """The flow of all videos of a data set, by the rows of its clips. May be sent to loader workers."""

    def __init__(self, folder: Path, clips: Clips, store: Path) -> None:
        import pyarrow.parquet as pq

        shelf = FlowShelf.read(folder)
        table = pq.read_table(folder / "flow.parquet", columns=["path", "digest", "key"]).to_pydict()
        known = {(path, digest): key for path, digest, key in zip(table["path"], table["digest"], table["key"])}
        keys = [known.get(video) for video in zip(clips.paths, clips.digests)]
        found = places(store, shelf, [key for key in keys if key])
        missing = [path for path, key in zip(clips.paths, keys) if key is None or (key and key not in found)]
        if missing:
            raise UserError(
                f"the flow of {len(missing)} of {len(clips)} videos is not in {shelf.folder(store)} (first: {missing[0]}). The store "
                "was cleared or is another one: set VIDSPEC_STORE, or compute it again with `dvc repro --force --single-item` and "
                "the name of the flow stage."
            )
        self.bound = shelf.bound
        self._keys = keys  # "": the video has no flow
        self._paths, self._sizes, self._frames = clips.paths, clips.sizes, clips.frames
        self._fields = {key: place.frames for key, place in found.items()}
        self._shards = ShardReader(found)

    @staticmethod
    def open(folder: Path, clips: Clips, context: Context) -> Flows:
        """Open the output of a flow stage. Raises UserError when its flow is not in the store."""
        return Flows(folder, clips, context.store)

    def read(self, row: int, numbers: np.ndarray) -> np.ndarray:
        """Flow from frames ``numbers`` (int [T]) of a video to the frames after them: (u, v) as bytes, uint8 [T, H, W, 2].

        The last frame, which has none after it, gets the field of the one before it. A video whose flow could not be computed
        does not move. Raises IndexError for a frame that the video does not have.
        """
        numbers = np.asarray(numbers, np.int64)
        if len(numbers) and not 0 <= numbers.min() <= numbers.max() < self._frames[row]:
            raise IndexError(f"{self._paths[row]} has {self._frames[row]} frames, not {numbers.min()}..{numbers.max()}")
        key = self._keys[row]
        if not key or not len(numbers):
            width, height = self._sizes[row]
            return np.full((len(numbers), height, width, 2), ZERO, np.uint8)
        return self._shards.read(key, np.minimum(numbers, self._fields[key] - 1))
