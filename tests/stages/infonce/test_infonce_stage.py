"""The infonce stage as a whole, on videos that exist in memory."""

from __future__ import annotations

import csv
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from engine.errors import UserError
from engine.run.checkpoint import Checkpoints
from engine.run.local import Local
from stages.infonce.spec import Config
from stages.infonce import stage
from stages.infonce.stage import run
from stages.nn.spec import Narrow, Schedule
from stages.nn.weights import load_encoder
from stages.video.spec import Clip, Difference, Rgb
from tests.stages.dying import Dying, Killed

VIDEOS = [(row % 3, "train") for row in range(14)] + [(0, "test")] * 3


def config(**changes) -> Config:
    values = {
        "view_name": "rgb",
        "view": Rgb(),
        "clip": Clip(frames=4, size=16),
        "encoder": Narrow(kind="narrow", width=4),
        "schedule": Schedule(epochs=3, batch=4),
        "dim": 8,
        "queue": 10,
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
    if "pictures" not in request.node.name:
        monkeypatch.setattr(stage, "curve_picture", lambda points, panels: np.zeros((1, 1, 3), np.uint8))


def test_it_writes_an_encoder_a_head_curves_and_pictures(make_clips, make_context):
    make_clips(VIDEOS)
    context = make_context("demo.infonce.s0")
    metrics = train(context)

    encoder, card = load_encoder(context.out)
    assert encoder.features == 32
    assert (card.view_name, card.stage, card.clip.frames) == ("rgb", "demo.infonce.s0", 4)
    assert set(load_file(context.out / "head.safetensors")) == {"0.weight", "0.bias", "2.weight", "2.bias"}
    assert {"views.png", "curves.png"} == {p.name for p in (context.out / "pictures").iterdir()}
    assert (metrics["videos"], metrics["steps"]) == (14, 9)  # 14 // 4 = 3 steps in each of 3 epochs
    assert metrics["queue_fill"] == 1.0 and metrics["queue_age"] == pytest.approx((0 * 4 + 1 * 4 + 2 * 2) / 10)

    with (context.out / "curves.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [int(r["step"]) for r in rows] == list(range(1, 10))
    assert float(rows[0]["loss"]) == 0.0  # an empty queue: nothing to be told apart from
    assert float(rows[0]["queue_fill"]) == 0.4
    assert all(r["effective_rank"] for r in rows)


@pytest.mark.parametrize("died_at", [4, 6])
def test_a_killed_training_goes_on_to_the_same_bits(make_clips, make_context, tmp_path, died_at):
    make_clips(VIDEOS)
    whole = train(make_context(out="whole"))
    with pytest.raises(Killed):
        run(config(), make_context(out="first", checkpoints=Dying(tmp_path / "saved", every=3, at=died_at)))
    torch.rand(7)  # whatever else the process drew
    resumed = train(make_context(out="resumed", checkpoints=Checkpoints(tmp_path / "saved", every=3)))
    assert resumed == whole
    assert outputs(tmp_path / "resumed") == outputs(tmp_path / "whole")


def test_loader_processes_do_not_change_a_bit(make_clips, make_context, tmp_path):
    make_clips(VIDEOS)
    for workers in (0, 2):
        train(make_context(out=f"w{workers}", local=Local(device="cpu", workers=workers)))
    assert outputs(tmp_path / "w0") == outputs(tmp_path / "w2")


def test_a_resume_with_loader_processes_is_exact_too(make_clips, make_context, tmp_path):
    make_clips(VIDEOS)
    train(make_context(out="whole"))
    local = Local(device="cpu", workers=1)
    with pytest.raises(Killed):
        run(config(), make_context(out="first", local=local, checkpoints=Dying(tmp_path / "saved", every=2, at=5)))
    train(make_context(out="resumed", local=local, checkpoints=Checkpoints(tmp_path / "saved", every=2)))
    assert outputs(tmp_path / "resumed") == outputs(tmp_path / "whole")


def test_seeds_differ(make_clips, make_context, tmp_path):
    make_clips(VIDEOS)
    context = make_context(out="other")
    context.seed = 1
    train(context)
    train(make_context(out="one"))
    assert outputs(tmp_path / "other")["encoder.safetensors"] != outputs(tmp_path / "one")["encoder.safetensors"]


@pytest.mark.parametrize(
    "changes",
    [
        {"positives": "label", "sum": "inside"},
        {"positives": "label", "sum": "outside"},
        {"view_name": "difference", "view": Difference()},
        {"shuffle_bn": "none"},
        {"schedule": Schedule(epochs=3, batch=4, optimizer="sgd", lr=0.1, decay="cosine", warmup_epochs=1)},
    ],
    ids=["label-inside", "label-outside", "difference", "no-split", "sgd"],
)
def test_each_choice_changes_what_is_learnt(make_clips, make_context, tmp_path, changes):
    make_clips(VIDEOS)
    plain = train(make_context(out="plain"))
    other = train(make_context(out="other"), **changes)
    assert other["loss"] != plain["loss"]
    assert all(torch.isfinite(t).all() for t in load_file(tmp_path / "other" / "encoder.safetensors").values())


def test_labels_say_nothing_to_infonce_and_something_to_ubernce(make_clips, make_context, tmp_path):
    weights = {}
    for labels in ((0, 1, 2), (1, 0, 0)):
        clips = make_clips([(0, "train")] * 14, classes=3)
        pictures = replace(clips, targets=clips.targets.copy())  # so that labels alone differ, not what is seen
        clips.read = pictures.read
        clips.targets[:] = [labels[row % 3] for row in range(14)]
        for positives in ("own", "label"):
            train(make_context(out=f"{positives}{labels}"), positives=positives)
            weights[positives, labels] = outputs(tmp_path / f"{positives}{labels}")["encoder.safetensors"]
    assert weights["own", (0, 1, 2)] == weights["own", (1, 0, 0)]
    assert weights["label", (0, 1, 2)] != weights["label", (1, 0, 0)]


def test_it_starts_from_another_model_with_its_head(make_clips, make_context, tmp_path):
    make_clips(VIDEOS)
    train(make_context(out="start"))
    # With a learning rate this small nothing moves, so what comes out is what was started from.
    still = {"schedule": Schedule(epochs=1, batch=4, lr=1e-30, weight_decay=0.0)}
    train(make_context(out="next", init=tmp_path / "start"), **still)
    for file in ("encoder.safetensors", "head.safetensors"):
        before, after = load_file(tmp_path / "start" / file), load_file(tmp_path / "next" / file)
        for name, tensor in before.items():
            if "running_" not in name and "num_batches" not in name:
                assert torch.equal(after[name], tensor), name


def test_a_split_smaller_than_a_batch_is_explained(make_clips, make_context):
    make_clips([(0, "train")] * 3)
    with pytest.raises(UserError, match="3 videos, fewer than one batch of 4"):
        run(config(), make_context())


def test_a_loss_that_is_not_a_number_ends_the_training_with_advice(make_clips, make_context):
    make_clips(VIDEOS)
    with pytest.raises(UserError, match="lower schedule.lr"):
        run(config(schedule=Schedule(epochs=3, batch=4, optimizer="sgd", lr=1e30)), make_context())


def test_it_learns_what_tells_classes_apart(make_clips, make_context):
    """Upright stripes, lying stripes and noise, told apart by UberNCE after a few dozen steps."""
    clips = make_clips([(row % 3, "train") for row in range(36)])

    def read(row: int, numbers: np.ndarray) -> np.ndarray:
        noise = np.random.default_rng(row).integers(0, 2, (24, 24))
        upright = np.tile(np.arange(24) // 3 % 2, (24, 1))
        texture = (upright, upright.T, noise)[row % 3]
        return np.broadcast_to((80 + 100 * texture).astype(np.uint8)[None, :, :, None], (len(numbers), 24, 24, 3))

    clips.read = read
    values = {"queue": 24, "dim": 16, "momentum": 0.9, "temperature": 0.2, "positives": "label", "sum": "inside"}
    schedule = Schedule(epochs=30, batch=12, lr=1e-2)
    metrics = train(make_context(), schedule=schedule, clip=Clip(frames=2, size=16), **values)
    assert metrics["positive_similarity"] > metrics["negative_similarity"] + 0.25
    assert metrics["loss"] < 0.8  # 1.1 is ln 3, as much as knowing nothing of three classes
