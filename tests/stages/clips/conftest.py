"""A data set of real small videos, and the clips stage run on it."""

from __future__ import annotations

import csv
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from engine.run.checkpoint import Checkpoints
from engine.run.context import Context
from engine.run.local import Local
from engine.track.record import Record
from stages.clips import stage
from stages.clips.spec import Config
from stages.video.clips import Clips
from stages.video.listing import Listing, Video, digest, write_listing


def pictures(frames: int, width: int, height: int, seed: int) -> np.ndarray:
    """Different smooth frames, uint8 [frames, height, width, 3]."""
    coarse = np.random.default_rng(seed).integers(
        0, 256, (frames, height // 8 + 1, width // 8 + 1, 3), np.uint8
    )
    return coarse.repeat(8, axis=1).repeat(8, axis=2)[:, :height, :width]


def write(
    path: Path, frames: int = 10, width: int = 48, height: int = 32, seed: int = 0, times: list[int] | None = None
) -> Path:
    """times: of the frames, in tenths of a second."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=10, options={"preset": "ultrafast"})
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        stream.codec_context.thread_count = 1
        for number, picture in enumerate(pictures(frames, width, height, seed)):
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
            if times:
                frame.pts, frame.time_base = times[number], Fraction(1, 10)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def list_videos(root: Path, out: Path) -> None:
    """Write the listing of ``<label>/<name>``; names that begin with ``t`` are for test."""
    videos = []
    for path in sorted(p for p in root.rglob("*") if p.is_file()):
        relative = path.relative_to(root).as_posix()
        label, name = relative.split("/")
        videos.append(
            Video(relative, label, "test" if name.startswith("t") else "train", name[:2], *digest(path))
        )
    out.mkdir(exist_ok=True)
    write_listing(out, Listing(tuple(videos), tuple(sorted({v.label for v in videos}))))


class KeptRecord(Record):
    """Keeps messages."""

    def __init__(self) -> None:
        super().__init__(None)
        self.messages: list[str] = []

    def message(self, text: str, level: str = "info") -> None:
        self.messages.append(f"{level}: {text}")


@dataclass
class Result:
    """What a run of the stage gave."""

    metrics: dict[str, Any]
    problems: dict[str, str]
    messages: list[str]
    out: Path
    context: Context

    @property
    def clips(self) -> Clips:
        return Clips.open(self.out, self.context)

    @property
    def files(self) -> dict[str, bytes]:
        return {
            p.relative_to(self.out).as_posix(): p.read_bytes() for p in self.out.rglob("*") if p.is_file()
        }


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Four videos of two classes."""
    folder = tmp_path / "videos"
    for i, name in enumerate(("run/a1.mp4", "run/t1.mp4", "walk/a2.mp4", "walk/t2.mp4")):
        write(folder / name, frames=8 + i, seed=i)
    return folder


@pytest.fixture
def make_clips_of(tmp_path: Path) -> Callable[..., Result]:
    """List a root and run the stage; ``pack``, ``broken_limit`` and the rest as in its configuration."""

    def make(
        root: Path,
        store: str = "store",
        workers: int = 0,
        out: str = "clips",
        pack: dict[str, Any] | None = None,
        broken_limit: float = 0.05,
        relist: bool = True,
        **more: Any,
    ) -> Result:
        listing, folder = tmp_path / "listing", tmp_path / out
        if relist:
            list_videos(root, listing)
        folder.mkdir()
        local = Local(datasets={"mine": str(root)}, store=str(tmp_path / store), workers=workers)
        record = KeptRecord()
        context = Context("demo.clips", 0, {"listing": listing}, folder, local, record, Checkpoints(None))
        config = {"dataset": "mine", "pack": {"kind": "auto", **(pack or {})}, "broken_limit": broken_limit, **more}
        metrics = stage.run(Config.model_validate(config), context)
        with open(folder / "problems.csv", newline="", encoding="utf-8") as file:
            problems = {row["path"]: row["problem"] for row in csv.DictReader(file)}
        return Result(metrics, problems, record.messages, folder, context)

    return make


@pytest.fixture
def write_video() -> Callable[..., Path]:
    return write


@pytest.fixture
def data() -> Path:
    """The folder of shared sample videos; tests that need it are skipped where it is absent."""
    folder = Path(__file__).resolve().parents[3].parent / "shared" / "data"
    if not folder.is_dir():
        pytest.skip("the shared sample videos are not here")
    return folder
