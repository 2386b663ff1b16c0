"""Computing and packing the flow of some videos: what one worker does with one portion."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from engine.errors import UserError
from engine.run.local import Local
from stages.flow.problem import FlowProblem
from stages.flow.spec import Config
from stages.video.clips import Clips
from stages.video.flow_bytes import to_bytes, to_pixels
from stages.video.flow_spec import Precomputed
from stages.video.flows import FlowShelf
from stages.video.shards import SHARD_BYTES, ShardWriter, decode_jpeg

if TYPE_CHECKING:
    from stages.flow.backends import FlowBackend

CHUNK_PAIRS = 64
CHUNK_PIXELS = 8_000_000
"""Pairs of frames that are worked on together, and pixels of them, unless one pair has more. So memory stays bounded for videos of any
length and size, and a worker gives a sign of life within seconds."""


@dataclass(frozen=True)
class Item:
    """A video to be done: its row in the clips, its key in the store, and its pairs of frames."""

    row: int
    key: str
    pairs: int


@dataclass
class Measures:
    """Sums over the flow of a video, kept with it in the store. Components are u and v; lengths are in pixels.

    vectors: of all fields. length: sum of their lengths; longest: the greatest. clipped: vectors with a component beyond the bound.
    error: of storage, sum of |stored - computed| over all components, those beyond the bound taken as cut to it.
    """

    fields: int = 0
    vectors: int = 0
    length: float = 0.0
    longest: float = 0.0
    clipped: int = 0
    error: float = 0.0

    def add(self, flow: np.ndarray, stored: np.ndarray, bound: float) -> None:
        """flow: float32 [T, H, W, 2], as computed; stored: the same as it will be read, uint8."""
        lengths = np.hypot(flow[..., 0], flow[..., 1])
        self.fields += len(flow)
        self.vectors += lengths.size
        self.length += float(lengths.sum(dtype=np.float64))
        self.longest = max(self.longest, float(lengths.max()))
        self.clipped += int((np.abs(flow) > bound).any(-1).sum())
        cut = np.clip(flow, -bound, bound)
        self.error += float(np.abs(to_pixels(stored, bound) - cut).sum(dtype=np.float64))

    def note(self) -> str:
        return json.dumps(asdict(self), sort_keys=True)

    @staticmethod
    def from_note(note: str) -> Measures:
        return Measures(**json.loads(note))


@dataclass(frozen=True)
class Outcome:
    """What became of a video: its measures, or why there is no flow."""

    pairs: int
    measures: Measures | None = None
    problem: str = ""


@dataclass(frozen=True)
class Portion:
    """Videos that one worker does in one go, see ``stages.video.workers``. device: of the backend; threads: that it may use."""

    items: tuple[Item, ...]
    store: Path
    clips: Path
    local: Local
    config: Config
    shelf: FlowShelf
    device: str = "cpu"
    threads: int = 1

    def do(self, alive: Callable[[], None]) -> Iterator[tuple[str, Outcome]]:
        """Yields key and outcome of each video. Shards are published at the end and whenever one is full."""
        clips = Clips(self.clips, self.local)
        backend = self.backend()
        writer = self._new_writer()
        try:
            for item in self.items:
                try:
                    outcome = Outcome(item.pairs, self._do_video(item, clips, backend, writer, alive))
                except UserError as problem:
                    writer.discard()
                    outcome = Outcome(item.pairs, problem=str(problem))
                if item is self.items[-1] or writer.bytes > SHARD_BYTES:
                    writer.publish()
                    writer = self._new_writer()
                yield item.key, outcome
        finally:
            writer.abandon()

    def lost(self, item: Item, reason: str) -> tuple[str, Outcome]:
        return item.key, Outcome(item.pairs, problem=reason)

    def backend(self) -> FlowBackend | None:
        """None for flow that is read from files."""
        if isinstance(self.config.algorithm, Precomputed):
            return None
        from stages.flow.backends import open_backend

        return open_backend(self.config.algorithm, self.device, self.local, self.threads)

    def _new_writer(self) -> ShardWriter:
        return ShardWriter(self.shelf.folder(self.store), self.shelf)

    def _do_video(
        self, item: Item, clips: Clips, backend: FlowBackend | None, writer: ShardWriter, alive: Callable[[], None]
    ) -> Measures:
        measures = Measures()
        for flow in self._parts(item, clips, backend):
            if not np.isfinite(flow).all():
                raise FlowProblem("its flow is not finite")
            stored = to_bytes(flow, self.shelf.bound)
            for number, picture in enumerate(stored):
                data = writer.add(picture)
                if self.shelf.kind == "jpeg":
                    stored[number] = decode_jpeg(data, self.shelf.channels)
            measures.add(flow, stored, self.shelf.bound)
            alive()
        writer.finish(item.key, measures.note())
        return measures

    def _parts(self, item: Item, clips: Clips, backend: FlowBackend | None) -> Iterator[np.ndarray]:
        """Flow of a video in parts, float32 [T, H, W, 2]; a video of one frame has one field without motion."""
        frames = int(clips.frames[item.row])
        width, height = (int(v) for v in clips.sizes[item.row])
        if frames == 1:
            yield np.zeros((1, height, width, 2), np.float32)
        elif backend is None:
            from stages.flow.precomputed import iterate_precomputed

            root = self.local.root(self.config.algorithm.root)
            path, bound = clips.paths[item.row], self.shelf.bound
            for field in iterate_precomputed(root, path, self.config.algorithm, bound, frames, (width, height)):
                yield field[None]
        else:
            pairs = max(1, min(CHUNK_PAIRS, CHUNK_PIXELS // (width * height)))
            for first in range(0, frames - 1, pairs):
                yield backend(clips.read(item.row, np.arange(first, min(first + pairs + 1, frames))))
