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
        """Flow of precomputed files is known by the video and the name of the files' root: files that change are not noticed."""
        text = json.dumps(algorithm.model_dump(mode="json"), sort_keys=True)
        how = f"{algorithm.kind}-{hashlib.blake2b(text.encode(), digest_size=4).hexdigest()}"
        quality = storage.quality if storage.kind == "jpeg" else 0
        coding = f"jpeg-q{quality}" if quality else "raw"
        return FlowShelf(f"{frames_key}.{how}-b{bound:g}-{coding}-v1", storage.kind, quality, bound)

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

        table = pq.read_table(folder / "flow.parquet", columns=["digest", "problem"]).to_pydict()
        failed = {digest for digest, problem in zip(table["digest"], table["problem"]) if problem}
        shelf = FlowShelf.read(folder)
        found = places(store, shelf, clips.digests)
        missing = [p for p, d in zip(clips.paths, clips.digests) if d not in found and d not in failed]
        if missing:
            raise UserError(
                f"the flow of {len(missing)} of {len(clips.paths)} videos is not in {shelf.folder(store)} (first: {missing[0]}). The store "
                "was cleared or is another one: set VIDSPEC_STORE, or compute it again with `dvc repro --force --single-item` and "
                "the name of the flow stage."
            )
        self.bound = shelf.bound
        self._digests = clips.digests
        self._sizes = clips.sizes
        self._fields = {digest: place.frames for digest, place in found.items()}
        self._shards = ShardReader(found)

    @staticmethod
    def open(folder: Path, clips: Clips, context: Context) -> Flows:
        """Open the output of a flow stage. Raises UserError when its flow is not in the store."""
        return Flows(folder, clips, context.store)

    def read(self, row: int, numbers: np.ndarray) -> np.ndarray:
        """Flow from frames ``numbers`` (int [T]) of a video to the frames after them: (u, v) as bytes, uint8 [T, H, W, 2].

        The last frame, which has none after it, gets the field of the one before it. A video whose flow could not be computed
        does not move.
        """
        digest = self._digests[row]
        if digest not in self._fields:
            width, height = self._sizes[row]
            return np.full((len(numbers), height, width, 2), ZERO, np.uint8)
        return self._shards.read(digest, np.minimum(numbers, self._fields[digest] - 1))
