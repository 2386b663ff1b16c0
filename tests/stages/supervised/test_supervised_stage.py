"""The supervised stage as a whole, on videos that exist in memory."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest
import torch

from engine.errors import UserError
from engine.run.checkpoint import Checkpoints
from engine.run.local import Local
from stages.classify.classifier import load_classifier
from stages.nn.encoders import build_encoder
from stages.nn.spec import Card, Narrow
from stages.nn.weights import load_encoder, save_encoder
from stages.supervised import stage
from stages.supervised.spec import Config, SupervisedSchedule
from stages.supervised.stage import run
from stages.tal.annotations import Annotations, Instance
from stages.video.spec import Clip, Difference, Rgb
from tests.stages.dying import Dying, Killed

NARROW = Narrow(kind="narrow", width=4)
VIDEOS = [(row % 3, "train") for row in range(9)] + [(0, "test")]


def config(**changes) -> Config:
    values = {
        "view_name": "rgb",
        "view": Rgb(),
        "clip": Clip(frames=4, size=16),
        "encoder": NARROW,
        "schedule": SupervisedSchedule(epochs=3, batch=4),
        "precision": "fp32",
    }
    return Config(**(values | changes))


def outputs(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def train(context, **changes) -> dict:
    metrics = run(config(**changes), context)
    context.write_curves()
    return metrics


@pytest.fixture(autouse=True)
def plain_curves(request, monkeypatch):
    """Drawing takes longer than these trainings; one test does it."""
    if "files" not in request.node.name:
        monkeypatch.setattr(stage, "curve_picture", lambda *_: np.zeros((1, 1, 3), np.uint8))


@pytest.fixture
def annotated(make_clips, tmp_path) -> Path:
    """Annotations of VIDEOS, 12 frames in 6 s: a segment of class 0 and one of class 1, nothing in the third video."""
    clips = make_clips(VIDEOS)
    happens = {p: () if n == 2 else (Instance(0, 2, 0), Instance(3, 6, 1)) for n, p in enumerate(clips.paths)}
    folder = tmp_path / "annotated"
    folder.mkdir()
    Annotations(("jump", "spin"), happens, dict.fromkeys(happens, 6.0), dict.fromkeys(happens, "annotation")).write(
        folder
    )
    return folder


def test_files_and_metrics(make_clips, make_context):
    make_clips(VIDEOS)
    context = make_context("demo.acp.s0")
    metrics = train(context)
    assert set(outputs(context.out)) == {
        "encoder.safetensors", "head.safetensors", "classes.json", "curves.csv", "pictures/curves.png",
    }  # fmt: skip
    classifier, card, classes = load_classifier(context.out)
    assert (card.stage, card.view_name, classes) == ("demo.acp.s0", "rgb", ("class_0", "class_1", "class_2"))
    assert classifier.linear.weight.shape == (3, 32)
    assert (metrics["videos"], metrics["classes"], metrics["steps"]) == (9, 3, 6)
    with (context.out / "curves.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 6 and metrics["loss"] == float(rows[-1]["loss"])
    # Milestones at 0.4 and 0.8 of 6 steps: after 2 and after 5.
    assert [float(r["learning_rate"]) for r in rows] == pytest.approx([0.02, 0.02, 0.002, 0.002, 0.002, 0.0002])


def test_kills_and_loader_processes_change_no_bit(make_clips, make_context, tmp_path):
    make_clips(VIDEOS)
    expected = train(make_context(out="plain"))
    plain = outputs(tmp_path / "plain")
    assert train(make_context(out="workers", local=Local(device="cpu", workers=2))) == expected
    assert outputs(tmp_path / "workers") == plain
    with pytest.raises(Killed):
        train(make_context(out="dead", checkpoints=Dying(tmp_path / "saved", 2, 5)))
    torch.rand(7)  # whatever else the process drew
    assert train(make_context(out="again", checkpoints=Checkpoints(tmp_path / "saved", 2))) == expected
    assert outputs(tmp_path / "again") == plain


def test_it_learns_what_moves_where(make_clips, make_context):
    make_clips([(row % 2, "train") for row in range(8)], classes=4)  # to the right and down: a flip confuses neither
    fast = SupervisedSchedule(epochs=60, batch=8, optimizer="adam", lr=0.01)
    metrics = train(make_context(), schedule=fast, view=Difference(), dropout=0.0, clip=Clip(frames=8, size=24))
    assert metrics["augmented_top1"] > 0.9 and metrics["loss"] < 0.5


def test_segments_of_untrimmed_videos(annotated, make_context):
    context = make_context(annotations=annotated)
    metrics = train(context, on="segments")
    assert (metrics["segments"], metrics["classes"], metrics["steps"]) == (16, 2, 12)
    assert json.loads((context.out / "classes.json").read_text()) == ["jump", "spin"]


def test_untrimmed_videos_as_a_whole(annotated, make_context, monkeypatch):
    from stages.video.clips import Clips

    clips = Clips.open(None, None)
    clips.targets = clips.targets % 2
    metrics = train(make_context(annotations=annotated))
    assert (metrics["videos"], metrics["classes"]) == (8, 2)


def test_too_few_segments(annotated, make_context):
    with pytest.raises(UserError, match="have 16 annotated segments, fewer than one batch of 17"):
        train(make_context(annotations=annotated), on="segments", schedule=SupervisedSchedule(epochs=1, batch=17))


def test_one_class_is_nothing_to_learn_from(make_clips, make_context):
    make_clips([(0, "train")] * 9)
    with pytest.raises(UserError, match="one class only, 'class_0'"):
        train(make_context())


def test_it_goes_on_from_another_model(make_clips, make_context, tmp_path):
    make_clips(VIDEOS)
    start = tmp_path / "init"
    start.mkdir()
    card = Card(encoder=NARROW, view_name="rgb", view=Rgb(), clip=Clip(frames=4, size=16), stage="demo.icp.s0")
    given = build_encoder(NARROW, 3, seed=5)
    save_encoder(start, given, card)
    slow = SupervisedSchedule(epochs=1, batch=4, lr=1e-9)
    train(make_context(out="on", init=start), schedule=slow)
    train(make_context(out="new"), schedule=slow)
    first = "0.0.weight"
    weights = {out: load_encoder(tmp_path / out)[0].body.state_dict()[first] for out in ("on", "new")}
    torch.testing.assert_close(weights["on"], given.body.state_dict()[first])
    assert not torch.allclose(weights["new"], weights["on"])


def test_gradients_are_shortened(make_clips, make_context, tmp_path):
    make_clips(VIDEOS)
    once = {"schedule": SupervisedSchedule(epochs=1, batch=9, lr=1.0, momentum=0.0, weight_decay=0.0, decay="none")}
    train(make_context(out="free"), **once)
    train(make_context(out="short"), gradient_norm=1e-6, **once)
    start = load_encoder(tmp_path / "short")[0].body.state_dict()["0.0.weight"]
    moved = load_encoder(tmp_path / "free")[0].body.state_dict()["0.0.weight"] - start
    assert moved.norm() > 1e-3
