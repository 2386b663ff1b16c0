"""Small real videos, checked and packed, and the flow stage run on them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from engine.run.checkpoint import Checkpoints
from engine.run.context import Context
from engine.run.local import Local
from engine.track.record import Record
from stages.clips import stage as clips_stage
from stages.clips.spec import Config as ClipsConfig
from stages.flow import backends, stage
from stages.flow.spec import Config
from stages.video.clips import Clips
from stages.video.flow_spec import FlowStorage, Tvl1
from stages.video.flows import Flows
from stages.video.listing import Listing, Video, digest, write_listing
from stages.video.spec import Pack

QUICK = Tvl1(num_warp=1, num_iter=2)
"""Few iterations, for tests that are about anything but the flow itself."""


@pytest.fixture(autouse=True)
def plain_pictures(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Drawing takes longer than the flow of these videos; the tests of pictures do it."""
    if "pictures" not in request.module.__name__:
        for name in ("flow_examples", "histogram"):
            monkeypatch.setattr(stage, name, lambda clips, flows: np.zeros((1, 1, 3), np.uint8))


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Pairs of each call of a backend."""
    calls: list[int] = []
    real = backends.open_backend

    def opened(*arguments: Any) -> backends.FlowBackend:
        backend = real(*arguments)
        return lambda frames: calls.append(len(frames) - 1) or backend(frames)

    monkeypatch.setattr(backends, "open_backend", opened)
    return calls


def files(folder: Path) -> dict[str, bytes]:
    """Content of all files, by name."""
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def texture(height: int, width: int, seed: int) -> np.ndarray:
    """A smooth random picture, float [height, width, 3]."""
    from scipy.ndimage import gaussian_filter

    noise = np.random.default_rng(seed).standard_normal((height, width, 3))
    smooth = gaussian_filter(noise, (2, 2, 0), mode="wrap")
    return 128 + 60 * smooth / smooth.std()


def moving(frames: int, height: int, width: int, seed: int, step: tuple[int, int] = (1, 0)) -> np.ndarray:
    """A texture that moves by ``step`` = (right, down) pixels a frame: uint8 [frames, height, width, 3]."""
    picture = texture(height, width, seed)
    shifted = [np.roll(picture, (step[1] * t, step[0] * t), (0, 1)) for t in range(frames)]
    return np.clip(np.stack(shifted), 0, 255).astype(np.uint8)


def write_video(path: Path, pictures: np.ndarray) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=10, options={"preset": "ultrafast", "qp": "0"})
        stream.height, stream.width = pictures.shape[1:3]
        stream.pix_fmt = "yuv444p"
        stream.codec_context.thread_count = 1
        for picture in pictures:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode(None))
    return path


class KeptRecord(Record):
    """Keeps messages."""

    def __init__(self) -> None:
        super().__init__(None)
        self.messages: list[str] = []

    def message(self, text: str, level: str = "info") -> None:
        self.messages.append(text)


class FlowStudy:
    """A folder of videos with the outputs of its clips and flow stages, and a store of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.root = folder / "videos"
        self.store = folder / "store"
        self.record = KeptRecord()

    def add(self, name: str, pictures: np.ndarray) -> None:
        write_video(self.root / "moves" / name, pictures)

    def context(self, stage_name: str, workers: int | None = 0, **inputs: Path) -> Context:
        out = self.folder / "results" / stage_name
        out.mkdir(parents=True, exist_ok=True)
        self.record = KeptRecord()
        return Context(
            name=f"demo.{stage_name}",
            seed=0,
            inputs=inputs,
            out=out,
            local=Local(device="cpu", workers=workers, store=str(self.store), datasets={"here": str(self.root)}),
            record=self.record,
            checkpoints=Checkpoints(None),
        )

    def clips(self, pack: str = "raw") -> Path:
        """Run the clips stage; returns its output."""
        listed = self.folder / "listing"
        listed.mkdir(exist_ok=True)
        paths = sorted(p for p in self.root.rglob("*") if p.is_file())
        videos = tuple(Video(p.relative_to(self.root).as_posix(), "moves", "train", "", *digest(p)) for p in paths)
        write_listing(listed, Listing(videos, ("moves",)))
        context = self.context("clips", listing=listed)
        clips_stage.run(ClipsConfig(dataset="here", pack=Pack(kind=pack, short_side=64), broken_limit=0.0), context)
        return context.out

    def run(self, clips: Path, name: str = "flow", workers: int | None = 0, **fields: Any) -> tuple[dict, Flows, Clips]:
        """Run the flow stage; returns its metrics, and the flow and clips opened."""
        values = {"algorithm": QUICK, "bound": 20.0, "storage": FlowStorage()} | fields
        context = self.context(name, workers, clips=clips)
        metrics = stage.run(Config(**values), context)
        opened = Clips.open(clips, context)
        return metrics, Flows.open(context.out, opened, context), opened


@pytest.fixture
def study(tmp_path: Path) -> FlowStudy:
    return FlowStudy(tmp_path)


@pytest.fixture
def make_study(tmp_path: Path) -> Callable[[str], FlowStudy]:
    return lambda name: FlowStudy(tmp_path / name)
