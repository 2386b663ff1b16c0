"""The stage: the listing's contract, the same bytes from any number of processes, no torch."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from pydantic import ValidationError

from engine.run.checkpoint import Checkpoints
from engine.run.context import Context
from engine.run.local import Local
from engine.track.record import Record
from stages.synthetic.spec import Config, Recipe, SyntheticActions
from stages.synthetic.stage import run
from stages.video.listing import read_listing

RECIPE = Recipe(size=32, frames=4, train=48, test=16)


def make(folder: Path, workers: int, recipe: Recipe = RECIPE) -> tuple[Path, dict]:
    folder.mkdir()
    local, record = Local(workers=workers), Record(None)
    context = Context("demo.synthetic", 0, {}, folder, local, record, Checkpoints(None))
    return folder, run(Config(recipe=recipe), context)


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> tuple[Path, dict]:
    return make(tmp_path_factory.mktemp("synthetic") / "out", workers=0)


def test_listing(made):
    out, metrics = made
    rows = pq.read_table(out / "listing.parquet").to_pylist()
    assert [row["path"] for row in rows] == sorted(p.relative_to(out).as_posix() for p in out.rglob("*.mp4"))
    assert len(rows) == 64 and set(rows[0]) == {"path", "label", "split", "group", "size", "digest"}
    for row in rows:
        assert (out / row["path"]).stat().st_size == row["size"]
        assert row["label"] == Path(row["path"]).parent.name and row["group"] == ""
    for split, each in (("train", 6), ("test", 2)):
        for label in RECIPE.motions:
            assert sum(row["split"] == split and row["label"] == label for row in rows) == each
    assert len({row["digest"] for row in rows}) == 64
    assert tuple(json.loads((out / "classes.json").read_text())) == RECIPE.motions == read_listing(out).classes
    assert (out / "problems.csv").read_text() == "path,problem\n"
    size = sum(row["size"] for row in rows)
    assert metrics == {"videos": 64, "classes": 8, "train_videos": 48, "test_videos": 16, "bytes": size}


def test_picture(made):
    assert (made[0] / "pictures" / "classes.png").read_bytes().startswith(b"\x89PNG")


def test_two_processes_write_what_one_writes(made, tmp_path):
    again, metrics = make(tmp_path / "out", workers=2)
    assert metrics == made[1]
    files = sorted(p.relative_to(again) for p in again.rglob("*") if p.is_file())
    assert files == sorted(p.relative_to(made[0]) for p in made[0].rglob("*") if p.is_file())
    for file in files:
        assert (again / file).read_bytes() == (made[0] / file).read_bytes(), file


def test_more_videos_leave_the_first_ones_as_they_were(made, tmp_path):
    more, _ = make(tmp_path / "out", 0, RECIPE.model_copy(update={"train": 10, "test": 20}))
    for name in ("bob/train_00008", "zigzag/test_00007"):
        assert (more / f"videos/{name}.mp4").read_bytes() == (made[0] / f"videos/{name}.mp4").read_bytes()


def test_no_torch():
    code = "import sys, stages.synthetic.stage; print('torch' in sys.modules, 'matplotlib' in sys.modules, 'av' in sys.modules)"
    root = Path(__file__).resolve().parents[3]
    done = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False"] * 3


class FakePlan:
    """Records the stages that a data kind adds."""

    def __init__(self) -> None:
        self.added: list[tuple] = []

    def add(self, kind, name, config, inputs, seed=None, always_changed=False):
        self.added.append((kind, name, config, dict(inputs), seed))
        return f"output of {name}"


def test_the_data_kind_plans_its_stage_and_clips():
    plan = FakePlan()
    data = SyntheticActions.model_validate_json('{"kind": "synthetic_actions", "train": 16, "test": 8, "motions": ["bob", "spiral"]}')
    assert data.plan(plan) == "output of clips" and data.root_name() is None
    kind, name, config, inputs, seed = plan.added[0]
    assert (kind, name, inputs, seed) == ("synthetic", "synthetic", {}, None)
    assert config == Config(recipe=Recipe(train=16, test=8, motions=("bob", "spiral")))
    assert plan.added[1][0] == "clips" and plan.added[1][3] == {"listing": "output of synthetic"}


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"size": 65}, "even"),
        ({"motions": ["bob", "bob"]}, "twice"),
        ({"motions": ["bob", "waltz"]}, "'zigzag'"),
        ({"motions": ["bob"]}, "at least 2"),
        ({"test": 7}, "fewer videos than the 8 classes"),
        ({"noise": float("nan")}, "finite"),
        ({"blur": 1}, "not permitted"),
    ],
)
def test_mistakes_in_a_spec(fields, message):
    with pytest.raises(ValidationError, match=message):
        SyntheticActions.model_validate_json(json.dumps({"kind": "synthetic_actions", **fields}))
