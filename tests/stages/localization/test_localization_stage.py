"""Training a head on features: what comes out, and that neither kills nor loader processes change a bit of it."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
import torch

from engine.errors import UserError
from engine.run.checkpoint import Checkpoints
from stages.linear_probe.spec import Lbfgs
from stages.localization import stage
from stages.localization.detector import load_detector
from stages.localization.spec import Config, HeadSchedule, HeldOutVideos
from stages.localization.stage import run
from stages.localization.videos import training_videos
from stages.tal.annotations import Annotations
from stages.tal.gtad import build_gtad
from stages.tal.head_spec import Head
from tests.stages.dying import Dying, Killed

HEAD = Head(channels=64, align_bins=4, context_bins=2)
HELD = HeldOutVideos(share=0.34, every=1)


def config(**changes) -> Config:
    values = {
        "head": HEAD,
        "schedule": HeadSchedule(epochs=3, batch=4),
        "classifier": Lbfgs(l2=(1.0, 0.1, 0.01)),
        "select": "last",
        "held_out": HELD,
    }
    return Config(**(values | changes))


def outputs(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def train(context, **changes) -> dict:
    metrics = run(config(**changes), context)
    context.write_curves()
    return metrics


def points(folder: Path) -> list[dict[str, str]]:
    with (folder / "curves.csv").open() as file:
        return list(csv.DictReader(file))


@pytest.fixture(autouse=True)
def plain_curves(request, monkeypatch):
    """Drawing takes longer than these trainings; one test does it."""
    if "files" not in request.node.name:
        monkeypatch.setattr(stage, "curve_picture", lambda *_: np.zeros((1, 1, 3), np.uint8))


def test_files_and_metrics(make_set, tmp_path):
    made = make_set(seeds=(0, 7))
    (tmp_path / "encoder.safetensors").write_bytes(b"weights")
    metrics = train(made.context(tmp_path, "out", seed=7, encoder=tmp_path), select="held_out")
    assert set(outputs(tmp_path / "out")) == {
        "detector.json", "encoder.safetensors", "head.safetensors", "classifier.safetensors",
        "curves.csv", "pictures/curves.png",
    }  # fmt: skip
    assert (tmp_path / "out" / "encoder.safetensors").read_bytes() == b"weights"
    detector = load_detector(tmp_path / "out")
    assert detector.card.classes == ("dive", "jump", "spin") and detector.card.features == made.index.origin
    assert not torch.equal(detector.head.stem[0].weight, build_gtad(8, HEAD, seed=0).stem[0].weight)
    assert metrics["held_out_videos"] + metrics["videos"] == 12 and metrics["held_out_videos"] >= 3
    assert metrics["steps"] == 3 * (metrics["videos"] // 4)
    held = [float(p["held_out_loss"]) for p in points(tmp_path / "out") if p["held_out_loss"]]
    assert len(held) == 3 and metrics["held_out_loss"] == min(held)
    assert metrics["epoch"] == 1 + held.index(min(held))


@pytest.mark.parametrize("select", ["last", "held_out"])
def test_kills_and_loader_processes_change_no_bit(make_set, tmp_path, monkeypatch, select):
    monkeypatch.setattr(
        "stages.localization.monitor.POINTS", 2
    )  # a point is the mean of steps before and after a kill
    made = make_set()
    expected = train(made.context(tmp_path, "plain"), select=select)
    plain = outputs(tmp_path / "plain")
    assert train(made.context(tmp_path, "workers", workers=2), select=select) == expected
    assert outputs(tmp_path / "workers") == plain
    for at in (3, 5):  # once a step after a checkpoint, once at the end of an epoch or in it
        dying = made.context(tmp_path, f"dead{at}", checkpoints=Dying(tmp_path / "saved", 2, at))
        with pytest.raises(Killed):
            train(dying, select=select)
    again = made.context(tmp_path, "again", checkpoints=Checkpoints(tmp_path / "saved", 2))
    assert train(again, select=select) == expected
    assert outputs(tmp_path / "again") == plain


def test_a_choice_made_before_a_kill_holds_after_it(make_set, tmp_path, monkeypatch):
    made, looks = make_set(), []

    def judged(*_) -> float:
        looks.append(0.1 if not looks else 0.9)
        return looks[-1]

    monkeypatch.setattr(stage, "held_out_loss", judged)
    expected = train(made.context(tmp_path, "plain"), select="held_out")
    assert expected["epoch"] == 1 and looks == [0.1, 0.9, 0.9]
    looks.clear()
    steps = expected["steps"] // 3
    dying = made.context(tmp_path, "dead", checkpoints=Dying(tmp_path / "saved", 1, steps))
    with pytest.raises(Killed):
        train(dying, select="held_out")
    assert looks == [0.1]
    again = made.context(tmp_path, "again", checkpoints=Checkpoints(tmp_path / "saved", 1))
    assert train(again, select="held_out") == expected
    assert outputs(tmp_path / "again") == outputs(tmp_path / "plain")


def test_seeds_differ_in_weights_order_and_features_alone(make_set, tmp_path):
    made = make_set(seeds=(0, 1))
    losses = {seed: train(made.context(tmp_path, f"s{seed}", seed=seed))["loss"] for seed in (0, 1)}
    assert losses[0] != losses[1]
    assert train(made.context(tmp_path, "again", seed=0))["loss"] == losses[0]


def test_what_is_held_out_is_not_trained_on_and_the_same_for_all(make_set, tmp_path, monkeypatch):
    made = make_set(seeds=(0, 1))
    seen: list[np.ndarray] = []
    original = stage.HeadBatches.__getitem__

    def watched(self, step):
        seen.append(self.epochs.at(step)[1])
        return original(self, step)

    monkeypatch.setattr(stage.HeadBatches, "__getitem__", watched)
    for seed in (0, 1):
        context = made.context(tmp_path, f"s{seed}", seed=seed)
        train(context, select="held_out", schedule=HeadSchedule(epochs=4, batch=2))
    annotations = Annotations.open(made.annotations)
    videos = training_videos(made.index, annotations, HELD, context)
    assert set(np.concatenate(seen)) <= set(np.flatnonzero(~videos.held))
    assert [made.index.videos[row].split for row in videos.rows] == ["train"] * 12


def test_looking_at_held_out_videos_leaves_no_trace(make_set, tmp_path):
    made = make_set()
    for every in (1, 3):
        held = HELD.model_copy(update={"every": every})
        train(made.context(tmp_path, f"e{every}"), select="held_out", held_out=held)
    losses = [[p["loss"] for p in points(tmp_path / f"e{every}")] for every in (1, 3)]
    assert losses[0] == losses[1]


def test_videos_in_which_nothing_happens_are_left_out(make_set, tmp_path):
    made = make_set(empty=(0, 5))
    assert train(made.context(tmp_path, "out"))["videos"] == 10


def test_a_single_video(make_set, tmp_path, capsys):
    one = HeadSchedule(epochs=2, batch=1)
    metrics = train(make_set(train=1, test=1).context(tmp_path, "out"), schedule=one, select="held_out")
    assert metrics["videos"] == 1 and metrics["steps"] == 2 and np.isfinite(metrics["loss"])
    assert "too few training videos to hold some out" in capsys.readouterr().err
    assert "classifier_held_out_top1" not in metrics and metrics["classifier_l2"] == 0.1


def test_fewer_videos_than_a_batch_are_explained(make_set, tmp_path):
    with pytest.raises(UserError, match="12 videos, fewer than one batch of 16"):
        train(make_set().context(tmp_path, "out"), schedule=HeadSchedule())


def test_nothing_to_learn_is_explained(make_set, tmp_path):
    made = make_set(empty=range(18))
    with pytest.raises(UserError, match="none of the 12 videos of split 'train'.*names of the subsets"):
        train(made.context(tmp_path, "out"))


def test_features_that_have_gone_are_explained(make_set, tmp_path):
    made = make_set()
    for path in made.store.rglob("*.safetensors"):
        path.unlink()
    with pytest.raises(UserError, match="18 of 18 videos are not in .*VIDSPEC_STORE"):
        train(made.context(tmp_path, "out"))


def test_a_loss_that_diverges_is_explained(make_set, tmp_path):
    schedule = HeadSchedule(epochs=6, batch=4, optimizer="sgd", lr=1e30, decay="none")
    with pytest.raises(UserError, match="lower schedule.lr"):
        train(make_set().context(tmp_path, "out"), schedule=schedule)


def test_the_classifier_knows_classes_by_their_channels(make_set, tmp_path):
    made = make_set()
    metrics = train(made.context(tmp_path, "out"))
    classifier = load_detector(tmp_path / "out").classifier
    reader = made.index.reader(0, made.store)
    rows = made.index.rows("test")
    probabilities = classifier.probabilities(reader.means(rows))
    assert probabilities.sum(axis=1) == pytest.approx(np.ones(6))
    assert probabilities.argmax(axis=1).tolist() == [n % 3 for n in range(12, 18)]
    assert metrics["classifier_held_out_top1"] == 1.0


def test_a_class_without_training_videos_gets_no_score(make_set, tmp_path):
    made = make_set(empty=range(2, 12, 3))  # nobody spins in training
    train(made.context(tmp_path, "out"))
    probabilities = load_detector(tmp_path / "out").classifier.probabilities(np.zeros((1, 8)))
    assert probabilities.shape == (1, 3) and probabilities[0, 2] == 0


def test_a_folder_that_is_no_detector(tmp_path):
    with pytest.raises(UserError, match="not the output of a localization training"):
        load_detector(tmp_path)
