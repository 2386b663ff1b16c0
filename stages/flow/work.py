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
from stages.video.container import VideoError
from stages.video.flow_bytes import to_bytes, to_pixels
from stages.video.flow_spec import Precomputed
from stages.video.flows import FlowShelf
from stages.video.shards import SHARD_BYTES, ShardWriter, decode_jpeg, encode

if TYPE_CHECKING:
    from stages.flow.backends import Backend

CHUNK = 64
"""Pairs of frames that are worked on together: memory stays bounded for videos of any length."""


@dataclass(frozen=True)
class Item:
    """A video to be done: its row in the clips, its digest, and its pairs of frames."""

    row: int
    digest: str
    pairs: int


@dataclass
class Measures:
    """Sums over the flow of a video, kept with it in the store. Components are u and v; lengths are in pixels.

    clipped: vectors with a component beyond the bound. error: of storage, |stored - computed| of components within the bound.
    """

    fields: int = 0
    vectors: int = 0
    length: float = 0.0
    longest: float = 0.0
    clipped: int = 0
    error: float = 0.0

    def add(self, flow: np.ndarray, stored: np.ndarray, bound: float) -> None:
        """flow: float32 [T, H, W, 2]; stored: the same as it will be read, uint8."""
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
        """Yields digest and outcome of each video. Shards are published at the end and whenever one is full."""
        clips = Clips(self.clips, self.local)
        backend = self.backend()
        writer = self._new_writer()
        try:
            for item in self.items:
                try:
                    outcome = Outcome(item.pairs, self._do_video(item, clips, backend, writer, alive))
                except (FlowProblem, VideoError, UserError) as problem:
                    writer.discard()
                    outcome = Outcome(item.pairs, problem=str(problem))
                if item is self.items[-1] or writer.bytes > SHARD_BYTES:
                    writer.publish()
                    writer = self._new_writer()
                yield item.digest, outcome
        finally:
            writer.abandon()

    def lost(self, item: Item, reason: str) -> tuple[str, Outcome]:
        return item.digest, Outcome(item.pairs, problem=reason)

    def backend(self) -> Backend | None:
        """None for flow that is read from files."""
        if isinstance(self.config.algorithm, Precomputed):
            return None
        from stages.flow.backends import open_backend

        return open_backend(self.config.algorithm, self.device, self.local, self.threads)

    def _new_writer(self) -> ShardWriter:
        return ShardWriter(self.shelf.folder(self.store), self.shelf)

    def _do_video(
        self, item: Item, clips: Clips, backend: Backend | None, writer: ShardWriter, alive: Callable[[], None]
    ) -> Measures:
        measures = Measures()
        for flow in self._fields(item, clips, backend):
            if not np.isfinite(flow).all():
                raise FlowProblem("its flow is not finite")
            stored = to_bytes(flow, self.shelf.bound)
            for picture in stored:
                writer.add(picture)
            measures.add(flow, self._as_read(stored), self.shelf.bound)
            alive()
        writer.finish(item.digest, measures.note())
        return measures

    def _fields(self, item: Item, clips: Clips, backend: Backend | None) -> Iterator[np.ndarray]:
        """Flow of a video in parts, float32 [T, H, W, 2]; a video of one frame has one field without motion."""
        frames = int(clips.frames[item.row])
        width, height = (int(v) for v in clips.sizes[item.row])
        if frames == 1:
            yield np.zeros((1, height, width, 2), np.float32)
        elif backend is None:
            from stages.flow.precomputed import read_precomputed

            root = self.local.root(self.config.algorithm.root)
            path, bound = clips.paths[item.row], self.shelf.bound
            flow = read_precomputed(root, path, self.config.algorithm, bound, frames, (width, height))
            yield from (flow[first : first + CHUNK] for first in range(0, len(flow), CHUNK))
        else:
            for first in range(0, frames - 1, CHUNK):
                numbers = np.arange(first, min(first + CHUNK + 1, frames))
                yield backend(clips.read(item.row, numbers))

    def _as_read(self, stored: np.ndarray) -> np.ndarray:
        if self.shelf.kind == "raw":
            return stored
        return np.stack([decode_jpeg(encode(picture, "jpeg", self.shelf.quality), 2) for picture in stored])
