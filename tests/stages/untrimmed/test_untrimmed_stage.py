"""Generated untrimmed videos from outside: files, truth, the same bytes from any number of processes."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from pydantic import ValidationError

from engine.run.checkpoint import Checkpoints
from engine.run.context import Context
from engine.run.local import Local
from engine.spec.component import Data
from engine.spec.discover import components
from engine.track.record import Record
from stages.annotations import stage as annotations_stage
from stages.annotations.spec import Config as AnnotationsConfig
from stages.clips import stage as clips_stage
from stages.clips.spec import Config as ClipsConfig
from stages.tal.annotations import Annotations
from stages.untrimmed.film import draw_film, render_film
from stages.untrimmed.spec import Config, SyntheticUntrimmed, UntrimmedRecipe
from stages.untrimmed.stage import run
from stages.video.clips import Clips
from stages.video.listing import read_listing

RECIPE = UntrimmedRecipe(size=32, frames=48, shortest=8, longest=20, most=2, train=16, test=8, motions=("spin", "sway"))


def make(folder: Path, workers: int, recipe: UntrimmedRecipe = RECIPE) -> tuple[Path, dict]:
    folder.mkdir()
    context = Context("demo.untrimmed", 0, {}, folder, Local(workers=workers), Record(None), Checkpoints(None))
    return folder, run(Config(recipe=recipe), context)


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> tuple[Path, dict]:
    return make(tmp_path_factory.mktemp("untrimmed") / "out", workers=0)


@pytest.fixture(scope="module")
def clips(made, tmp_path_factory) -> Clips:
    """The clips stage, run on the videos as on any others."""
    folder = made[0].parent / "clips"
    folder.mkdir()
    local = Local(store=str(tmp_path_factory.mktemp("store")), workers=0)
    context = Context("demo.clips", 0, {"listing": made[0]}, folder, local, Record(None), Checkpoints(None))
    config = {"dataset": None, "pack": {"kind": "raw"}, "broken_limit": 0.0}
    metrics = clips_stage.run(ClipsConfig.model_validate(config), context)
    assert metrics["videos"] == 24 and metrics["partial"] == 0
    return Clips.open(folder, context)


def test_listing_and_metrics(made):
    out, metrics = made
    listing, annotations = read_listing(out), Annotations.open(out)
    assert [v.path for v in listing.videos] == sorted(p.relative_to(out).as_posix() for p in out.rglob("*.mp4"))
    assert listing.classes == annotations.classes == RECIPE.motions
    assert set(annotations.instances) == set(annotations.durations) == {v.path for v in listing.videos}
    assert len({video.digest for video in listing.videos}) == 24
    for split, each in (("train", 8), ("test", 4)):
        for label in RECIPE.motions:
            assert sum(v.split == split and v.label == label for v in listing.videos) == each
    for video in listing.videos:
        found = annotations.instances[video.path]
        assert 1 <= len(found) <= 2 and {annotations.classes[i.label] for i in found} == {video.label}
    segments = sum(len(i) for i in annotations.instances.values())
    assert metrics["train_segments"] + metrics["test_segments"] == segments
    share = sum(i.end - i.start for found in annotations.instances.values() for i in found)
    assert metrics["annotated_share"] == pytest.approx(share / sum(annotations.durations.values()), abs=1e-6)
    assert (metrics["videos"], metrics["classes"], metrics["train_videos"], metrics["test_videos"]) == (24, 2, 16, 8)
    assert (out / "pictures" / "timelines.png").read_bytes().startswith(b"\x89PNG")
    assert (out / "problems.csv").read_text() == "path,problem\n"


def test_durations_are_those_of_the_files(made, clips):
    durations = Annotations.open(made[0]).durations
    assert len(set(durations.values())) > 5
    for row, path in enumerate(clips.paths):
        assert clips.frames[row] / RECIPE.fps == durations[path]


def test_the_truth_can_be_seen(tmp_path):
    """Without noise, shake and nuisance, pictures change inside of instances, and nowhere else."""
    recipe = RECIPE.model_copy(update={"noise": 0.0, "jitter": 0.0, "background": ("still",), "train": 6, "test": 2})
    for index in range(6):
        film = draw_film(recipe, "train", index)
        frames = render_film(film, recipe, "train", index)
        moves = np.abs(np.diff(frames.astype(int), axis=0)).reshape(film.frames - 1, -1).max(1) > 0
        truth = np.zeros(film.frames, bool)
        for instance in film.instances(recipe):
            truth[round(instance.start * recipe.fps) : round(instance.end * recipe.fps)] = True
        np.testing.assert_array_equal(moves, truth[1:])


def test_files_show_what_was_drawn(made, clips):
    """The decoded video is the rendered one, up to compression."""
    row = clips.paths.index("videos/test_00003.mp4")
    frames = render_film(draw_film(RECIPE, "test", 3), RECIPE, "test", 3)
    decoded = clips.read(row, np.arange(clips.frames[row]))
    assert decoded.shape == frames.shape and np.abs(decoded.astype(int) - frames).mean() < 8
    later = np.roll(frames, -8, axis=0)
    assert np.abs(decoded.astype(int) - later).mean() > np.abs(decoded.astype(int) - frames).mean()


def test_its_json_is_a_data_set_of_activitynet_s_form(made, tmp_path):
    """Read back by the annotations stage: the same instances, durations and classes, and nothing to complain about."""
    out = tmp_path / "annotations"
    out.mkdir()
    local = Local(datasets={"made": str(made[0])}, store=str(tmp_path / "store"))
    context = Context("demo.annotations", 0, {}, out, local, Record(None), Checkpoints(None))
    layout = {"kind": "activitynet", "file": "activitynet.json", "snippet": 8}
    text = json.dumps({"dataset": "made", "layout": layout, "pictures": False})
    metrics = annotations_stage.run(AnnotationsConfig.model_validate_json(text), context)
    assert metrics["problems"] == 0
    assert Annotations.open(out) == Annotations.open(made[0])
    assert read_listing(out) == read_listing(made[0])


def test_two_processes_write_what_one_writes(made, tmp_path):
    again, metrics = make(tmp_path / "out", workers=2)
    assert metrics == made[1]
    files = sorted(p.relative_to(again) for p in again.rglob("*") if p.is_file())
    assert files == sorted(p.relative_to(made[0]) for p in made[0].rglob("*") if p.is_file())
    for file in files:
        assert (again / file).read_bytes() == (made[0] / file).read_bytes(), file


def test_more_videos_leave_the_first_ones_as_they_were(made, tmp_path):
    more, _ = make(tmp_path / "out", 0, RECIPE.model_copy(update={"train": 3, "test": 9}))
    for name in ("train_00002", "test_00007"):
        assert (more / f"videos/{name}.mp4").read_bytes() == (made[0] / f"videos/{name}.mp4").read_bytes()


def test_videos_of_background_alone_and_of_several_classes(tmp_path):
    recipe = RECIPE.model_copy(update={"fewest": 0, "most": 3, "mixed": True, "train": 20, "test": 20, "gap": 2})
    out, _ = make(tmp_path / "out", 0, recipe)
    listing, annotations = read_listing(out), Annotations.open(out)
    assert listing.classes == ("spin", "sway", "background")
    assert {v.path for v in listing.videos if v.label == "background"} == {
        path for path, found in annotations.instances.items() if not found
    }
    assert any(len({i.label for i in found}) > 1 for found in annotations.instances.values())


def test_appearances_are_shared_between_videos():
    recipe = RECIPE.model_copy(update={"appearances": 1})
    films = [draw_film(recipe, "train", index) for index in range(2)]
    assert np.array_equal(films[0].scene.background, films[1].scene.background)
    assert films[0].pieces != films[1].pieces


def test_no_torch():
    names = "('torch', 'matplotlib', 'av')"
    code = f"import sys, stages.untrimmed.stage; print(*(name in sys.modules for name in {names}))"
    root = Path(__file__).resolve().parents[3]
    done = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False"] * 3


class Planned:
    """Stands in for the plan: keeps what is added."""

    def __init__(self):
        self.added = []

    def add(self, kind, name, config, inputs, seed=None, always_changed=False):
        self.added.append((kind, name, config, dict(inputs)))
        return name


def test_the_data_kind_plans_its_stage_and_clips():
    plan = Planned()
    data = components(Data)["synthetic_untrimmed"].model_validate_json('{"kind": "synthetic_untrimmed", "most": 2}')
    assert isinstance(data, SyntheticUntrimmed) and data.plan(plan) == "clips" and data.root_name() is None
    assert data.expected() == {"train": 120, "test": 60} and data.listing(plan) == "untrimmed"
    assert plan.added[0] == ("untrimmed", "untrimmed", Config(recipe=UntrimmedRecipe(most=2)), {})
    assert plan.added[1][0] == "clips" and plan.added[1][3] == {"listing": "untrimmed"}


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"fewest": 4}, "fewest must not exceed most"),
        ({"shortest": 60}, "nor shortest exceed longest"),
        ({"fewest": 3, "frames": 64, "spread": 0.0, "gap": 9}, "the shortest videos have 64 frames: too few for 3"),
        ({"frames": 20, "spread": 0.5}, "the shortest videos have 10 frames: too few for 1"),
        ({"background": []}, "at least 1"),
        ({"background": ["drift", "drift"]}, "names one twice"),
        ({"test": 4}, "fewer videos than the 5 classes"),
    ],
)
def test_mistakes_in_a_spec(fields, message):
    with pytest.raises(ValidationError, match=message):
        SyntheticUntrimmed.model_validate_json(json.dumps({"kind": "synthetic_untrimmed", **fields}))
