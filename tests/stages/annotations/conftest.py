"""Untrimmed data sets of small videos, and a way to list them."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from engine.run.checkpoint import Checkpoints
from engine.run.context import Context
from engine.run.local import Local
from engine.track.record import Record
from stages.annotations import stage
from stages.annotations.spec import Config
from stages.synthetic.video import write_mp4
from stages.tal.annotations import Annotations
from stages.video.listing import Listing, read_listing

FPS = 10


class KeptRecord(Record):
    """Keeps messages."""

    def __init__(self) -> None:
        super().__init__(None)
        self.messages: list[str] = []

    def message(self, text: str, level: str = "info") -> None:
        self.messages.append(f"{level}: {text}")


@dataclass
class Result:
    """What listing a data set gave. problems: (path, problem) of problems.csv."""

    metrics: Mapping[str, Any]
    listing: Listing
    annotations: Annotations
    problems: list[tuple[str, str]]
    messages: list[str]
    out: Path

    @property
    def splits(self) -> dict[str, str]:
        return {video.path: video.split for video in self.listing.videos}

    def named(self, video: str) -> list[tuple[float, float, str]]:
        """Start, end and class of each instance of a video."""
        return [(i.start, i.end, self.annotations.classes[i.label]) for i in self.annotations.instances[video]]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    folder = tmp_path / "data set"
    folder.mkdir()
    return folder


@pytest.fixture
def film(root: Path) -> Callable[..., None]:
    """Make videos of 10 frames a second below the root: ``film("a.mp4", 25)`` has 2.5 s."""

    def make(name: str, frames: int = 20) -> None:
        seed = sum(map(ord, name)) * 1000 + frames
        pictures = np.random.default_rng(seed).integers(0, 256, (1, 16, 16, 3), np.uint8)
        write_mp4(root / name, pictures.repeat(frames, 0), FPS, qp=30, gop=250)

    return make


@pytest.fixture
def database(root: Path) -> Callable[..., None]:
    """Write ``annotations.json``: id -> (subset, duration, [(start, end, label), ...])."""

    def write(videos: Mapping[str, tuple], **more: Any) -> None:
        entries = {
            name: {
                "subset": subset,
                "duration": duration,
                "annotations": [{"segment": [start, end], "label": label} for start, end, label in segments],
            }
            for name, (subset, duration, segments) in videos.items()
        }
        text = json.dumps({"version": "1", "database": entries, **more})
        (root / "annotations.json").write_text(text, encoding="utf-8")

    return write


@pytest.fixture
def listed(root: Path, tmp_path: Path) -> Callable[..., Result]:
    """Run the stage; fields of the layout as in a spec. ActivityNet's form and snippets of one frame by default."""

    def run(
        kind: str = "activitynet", at: Path | None = None, pictures: bool = False, fps: float | None = None, **fields
    ) -> Result:
        out = tmp_path / "annotations"
        out.mkdir(exist_ok=True)
        record = KeptRecord()
        local = Local(datasets={"mine": str(at or root)}, store=str(tmp_path / "store"))
        context = Context("demo.annotations", 0, {}, out, local, record, Checkpoints(None))
        if kind == "activitynet":
            fields = {"file": "annotations.json", **fields}
        config = {"dataset": "mine", "pictures": pictures, "fps": fps, "layout": {"kind": kind, "snippet": 1, **fields}}
        metrics = stage.run(Config.model_validate_json(json.dumps(config)), context)
        return Result(metrics, read_listing(out), Annotations.open(out), problems_of(out), record.messages, out)

    return run


def problems_of(out: Path) -> list[tuple[str, str]]:
    with open(out / "problems.csv", newline="", encoding="utf-8") as file:
        return [tuple(row) for row in csv.reader(file)][1:]


@pytest.fixture
def problems(tmp_path: Path) -> Callable[[], list[tuple[str, str]]]:
    """Of a run that failed."""
    return lambda: problems_of(tmp_path / "annotations")


@pytest.fixture
def data() -> Path:
    """The folder of shared untrimmed videos; tests that need it are skipped where it is absent."""
    folder = Path(__file__).resolve().parents[3].parent / "shared" / "data" / "untrimmed"
    if not folder.is_dir():
        pytest.skip("the shared sample videos are not here")
    return folder
