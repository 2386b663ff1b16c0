"""Videos for benchmarks: a textured plane that turns, with its flow, packed in the project's shards."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from stages.video.flow_bytes import to_bytes
from stages.video.flow_spec import FlowStorage
from stages.video.flows import FlowShelf
from stages.video.shards import Packing, ShardReader, ShardWriter, Shelf, places
from stages.video.spec import Pack

BOUND = 20.0
"""Pixels of flow that a byte reaches."""


@dataclass(frozen=True)
class PackedClips:
    """As much of ``stages.video.clips.Clips`` as a training asks for. Two videos in turn are of one source."""

    frames: np.ndarray
    targets: np.ndarray
    groups: np.ndarray
    digests: list[str]
    shards: ShardReader

    def split(self, name: str) -> np.ndarray:
        """All videos are for training."""
        return np.arange(len(self.frames) if name == "train" else 0, dtype=np.int64)

    def read(self, row: int, numbers: np.ndarray) -> np.ndarray:
        """Frames uint8 [T, H, W, 3]."""
        return self.shards.read(self.digests[row], numbers)


@dataclass(frozen=True)
class PackedFlows:
    """As much of ``stages.video.flows.Flows`` as a training asks for."""

    digests: list[str]
    last: int
    shards: ShardReader

    def read(self, row: int, numbers: np.ndarray) -> np.ndarray:
        """Flow in bytes, uint8 [T, H, W, 2]; the last frame gets the field of the one before it."""
        return self.shards.read(self.digests[row], np.minimum(numbers, self.last))


def pack(
    store: Path, kind: str, videos: int, frames: int, size: tuple[int, int]
) -> tuple[PackedClips, PackedFlows]:
    """Render and pack ``videos`` of ``frames`` frames. size: height and width.

    kind: of frames, ``raw`` as small sets are packed by default, or ``jpeg`` as large ones are; flow is raw for both.
    """
    packing = Packing(kind, min(size), 0 if kind == "raw" else Pack().quality)
    shelf = FlowShelf(f"{packing.key}.turning", FlowStorage().kind, 0, BOUND)
    digests = [hashlib.sha256(f"{video}".encode()).hexdigest() for video in range(videos)]
    rendered = [render(video, frames, size) for video in range(videos)]
    _write(store, packing, digests, [pictures for pictures, _ in rendered])
    _write(store, shelf, digests, [flow for _, flow in rendered])
    rows = np.arange(videos, dtype=np.int64)
    clips = PackedClips(
        frames=np.full(videos, frames, np.int64),
        targets=rows % 8,
        groups=rows // 2,
        digests=digests,
        shards=ShardReader(places(store, packing, digests)),
    )
    return clips, PackedFlows(digests, frames - 2, ShardReader(places(store, shelf, digests)))


def render(video: int, frames: int, size: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """A plane that turns about the middle: frames uint8 [T, H, W, 3], and flow in bytes, uint8 [T - 1, H, W, 2]."""
    rng = np.random.default_rng((7, video))
    speed = rng.choice([-1, 1]) * rng.uniform(0.02, 0.05)
    y, x = np.mgrid[: size[0], : size[1]] - np.array(size).reshape(2, 1, 1) / 2
    waves = rng.uniform(0.05, 0.6, (3, 4, 2)) * rng.choice([-1, 1], (3, 4, 2))  # colour, wave, direction
    angles = speed * np.arange(frames)[:, None, None]
    u, v = x * np.cos(angles) + y * np.sin(angles), y * np.cos(angles) - x * np.sin(angles)
    colours = [sum(np.sin(a * u + b * v) for a, b in colour) for colour in waves]
    grain = rng.normal(0, 4, (frames, *size, 3))  # of a camera: without it JPEGs would be too easy to decode
    pictures = (127 + 28 * np.stack(colours, axis=-1) + grain).clip(0, 255).astype(np.uint8)
    turn = np.stack([x * (np.cos(speed) - 1) - y * np.sin(speed), x * np.sin(speed) + y * (np.cos(speed) - 1)], -1)
    return pictures, np.repeat(to_bytes(turn, BOUND)[None], frames - 1, axis=0)


def _write(store: Path, shelf: Shelf, digests: list[str], videos: list[np.ndarray]) -> None:
    writer = ShardWriter(shelf.folder(store), shelf)
    for digest, pictures in zip(digests, videos):
        for picture in pictures:
            writer.add(picture)
        writer.finish(digest)
    writer.publish()
