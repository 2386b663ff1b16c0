"""Data sets of small files, and a way to list them."""

from __future__ import annotations

import csv
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from engine.run.checkpoint import Checkpoints
from engine.run.context import Context
from engine.run.local import Local
from engine.track.record import Record
from stages.listing import stage
from stages.listing.spec import Config
from stages.video.listing import Listing, read_listing


@dataclass
class Result:
    """What listing a data set gave. rows: path -> (label, split, group); problems: of problems.csv."""

    metrics: dict[str, Any]
    listing: Listing
    problems: list[tuple[str, str]]
    warnings: list[str]
    out: Path

    @property
    def rows(self) -> dict[str, tuple[str, str, str]]:
        return {v.path: (v.label, v.split, v.group) for v in self.listing.videos}


class KeptRecord(Record):
    """Keeps the warnings."""

    def __init__(self) -> None:
        super().__init__(None)
        self.warnings: list[str] = []

    def message(self, text: str, level: str = "info") -> None:
        if level == "warning":
            self.warnings.append(text)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    folder = tmp_path / "data set"
    folder.mkdir()
    return folder


@pytest.fixture
def touch(root: Path) -> Callable[..., None]:
    """Make files below the root, each with other content (its path), unless ``content`` says otherwise."""

    def make(*paths: str, content: str | None = None) -> None:
        for path in paths:
            file = root / path
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(content if content is not None else path)

    return make


@pytest.fixture
def listed(root: Path, tmp_path: Path) -> Callable[..., Result]:
    """List the data set below the root with a layout given as in a spec; ``pictures``: videos are folders of pictures."""

    def run(pictures: bool = False, **layout: Any) -> Result:
        out = tmp_path / "listing"
        out.mkdir(exist_ok=True)
        record = KeptRecord()
        local = Local(datasets={"mine": str(root)})
        context = Context("demo.listing", 0, {}, out, local, record, Checkpoints(None))
        config = {"dataset": "mine", "layout": layout, "pictures": pictures}
        metrics = stage.run(Config.model_validate(config), context)
        with open(out / "problems.csv", newline="", encoding="utf-8") as file:
            problems = [tuple(row) for row in csv.reader(file)]
        assert problems[0] == ("path", "problem")
        return Result(metrics, read_listing(out), problems[1:], record.warnings, out)

    return run


@pytest.fixture
def data() -> Path:
    """The folder of shared sample videos; tests that need it are skipped where it is absent."""
    folder = Path(__file__).resolve().parents[3].parent / "shared" / "data"
    if not folder.is_dir():
        pytest.skip("the shared sample videos are not here")
    return folder
