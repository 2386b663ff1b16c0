"""What tests of evaluations share: a data set that exists in memory only, and a stage's context."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Callable, Sequence

import numpy as np
import pytest

from engine.run.checkpoint import Checkpoints
from engine.run.context import Context
from engine.run.local import Local
from engine.track.record import Record


@dataclass
class MemoryClips:
    """Stands in for ``stages.video.clips.Clips``: a disc moves, as its class says, over a colour of the video's own."""

    classes: tuple[str, ...]
    paths: list[str]
    splits: list[str]
    frames: np.ndarray
    targets: np.ndarray
    groups: np.ndarray
    size: tuple[int, int] = (40, 30)

    def split(self, name: str) -> np.ndarray:
        return np.array([row for row, split in enumerate(self.splits) if split == name], np.int64)

    def read(self, row: int, numbers: np.ndarray) -> np.ndarray:
        assert numbers.min() >= 0 and numbers.max() < self.frames[row]
        width, height = self.size
        rng = np.random.default_rng(row)
        picture = np.tile(rng.integers(40, 200, 3, dtype=np.uint8), (len(numbers), height, width, 1))
        angle = 2 * np.pi * self.targets[row] / len(self.classes)
        y, x = np.mgrid[:height, :width]
        for frame, number in zip(picture, numbers):
            centre = (
                (width / 2 + 1.5 * number * np.cos(angle)) % width,
                (height / 2 + 1.5 * number * np.sin(angle)) % height,
            )
            frame[(x - centre[0]) ** 2 + (y - centre[1]) ** 2 < 16] = 255
        return picture


@pytest.fixture
def make_clips(monkeypatch: pytest.MonkeyPatch) -> Callable[..., MemoryClips]:
    """Make a set of videos from (class number, split) pairs, and let ``Clips.open`` return it."""
    from stages.video.clips import Clips

    def make(
        videos: Sequence[tuple[int, str]],
        classes: int | None = None,
        frames: Sequence[int] | int = 12,
        groups=None,
        size=(40, 30),
    ):
        count = len(videos)
        targets = np.array([target for target, _ in videos], np.int64)
        clips = MemoryClips(
            classes=tuple(
                f"class_{c}" for c in range(classes if classes is not None else int(targets.max()) + 1)
            ),
            paths=[f"v{row:04d}.mp4" for row in range(count)],
            splits=[split for _, split in videos],
            frames=np.broadcast_to(np.array(frames, np.int64), count).copy(),
            targets=targets,
            groups=np.arange(count) if groups is None else np.array(groups, np.int64),
            size=size,
        )
        monkeypatch.setattr(Clips, "open", staticmethod(lambda folder, context: clips))
        return clips

    return make


@pytest.fixture
def make_context(tmp_path: Path) -> Callable[..., Context]:
    """A context whose outputs lie in ``tmp_path/<out>``."""

    def make(
        name: str = "demo.x",
        out: str = "out",
        checkpoints: Checkpoints | None = None,
        local: Local | None = None,
        **inputs,
    ):
        folder = tmp_path / out
        folder.mkdir(exist_ok=True)
        return Context(
            name=name,
            seed=0,
            inputs={"clips": tmp_path, **inputs},
            out=folder,
            local=local or Local(device="cpu", workers=0),
            record=Record(None),
            checkpoints=checkpoints or Checkpoints(None),
        )

    return make
