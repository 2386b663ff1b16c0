"""Small videos on disk, annotated, through the stages that come before snippets."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from engine.run.checkpoint import Checkpoints
from engine.run.context import Context
from engine.run.local import Local
from engine.track.record import Record
from stages.clips import stage as clips_stage
from stages.clips.spec import Config as ClipsConfig
from stages.nn.encoders import build_encoder
from stages.nn.spec import Card, Narrow
from stages.nn.weights import save_encoder
from stages.untrimmed import stage as untrimmed_stage
from stages.untrimmed.spec import Config as UntrimmedConfig
from stages.untrimmed.spec import UntrimmedRecipe
from stages.video.spec import Clip, Pack, Rgb

NARROW = Narrow(kind="narrow", width=4)


@dataclass
class Videos:
    """Folders of the stages: ``annotations`` (with the listing and the videos), ``clips``, and the bulk store."""

    root: Path
    annotations: Path
    clips: Path
    store: Path

    def context(self, name: str, workers: int = 0, **inputs: Path | Sequence[Path]) -> Context:
        """A context of a stage called ``demo.<name>``."""
        out = self.root / name
        out.mkdir(exist_ok=True)
        return Context(
            name=f"demo.{name}",
            seed=0,
            inputs={"annotations": self.annotations, "clips": self.clips, **inputs},
            out=out,
            local=Local(device="cpu", workers=workers, store=str(self.store)),
            record=Record(None),
            checkpoints=Checkpoints(None),
        )

    def encoder(self, seed: int) -> Path:
        """Folder of an encoder with random weights."""
        folder = self.root / f"encoder{seed}"
        folder.mkdir(exist_ok=True)
        card = Card(
            encoder=NARROW, view_name="rgb", view=Rgb(), clip=Clip(frames=4, size=32), stage=f"demo.m.s{seed}"
        )
        save_encoder(folder, build_encoder(NARROW, 3, seed), card)
        return folder


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four training and two test videos of about 40 frames, 16 a second, listed, annotated and checked."""
    root = tmp_path_factory.mktemp("untrimmed")
    found = Videos(root, root / "untrimmed", root / "clips", root / "store")
    recipe = UntrimmedRecipe(
        motions=("circle", "sway"), train=4, test=2, frames=40, size=32, shortest=8, longest=16, gap=4
    )
    untrimmed_stage.run(UntrimmedConfig(recipe=recipe), found.context("untrimmed"))
    clips = found.context("clips", listing=found.annotations)
    clips_stage.run(ClipsConfig(dataset=None, pack=Pack(kind="none", short_side=32), broken_limit=0.1), clips)
    return root


@pytest.fixture
def videos(made: Path, tmp_path: Path) -> Videos:
    """These videos, with a store and outputs of the test's own."""
    return Videos(tmp_path, made / "untrimmed", made / "clips", tmp_path / "store")
