"""The linear probe on stored features, from outside."""

from __future__ import annotations

import csv
import sys

import numpy as np
import pyarrow.parquet as pq
import pytest
from safetensors.numpy import load_file

from engine.errors import UserError
from stages.classify.report import measure
from stages.classify.spec import HeldOut
from stages.features.stored import write_features
from stages.linear_probe.regression import at_end_of_grid, try_out
from stages.linear_probe.result import Trial, best_of, to_all_classes
from stages.linear_probe.spec import Config, Lbfgs
from stages.linear_probe.stage import run

LBFGS = Config(held_out=HeldOut(), lbfgs=Lbfgs(l2=(1.0, 0.1, 0.01)))


def blobs(targets: np.ndarray, noise: float, seed: int, width: int = 8) -> np.ndarray:
    """Features that tell the classes apart, but for noise."""
    centres = np.random.default_rng(99).normal(size=(targets.max() + 1, width))
    return (centres[targets] + noise * np.random.default_rng(seed).normal(size=(len(targets), width))).astype(
        np.float32
    )


@pytest.fixture
def probe(make_clips, make_context, tmp_path, monkeypatch):
    """Run the probe on a set of videos and given features by seed; returns (metrics, context). Pictures on request."""

    def run_it(videos, features, config=LBFGS, groups=None, out="out", drawn=False):
        make_clips(videos, groups=groups)
        if not drawn:
            blank = np.zeros((2, 2, 3), np.uint8)
            monkeypatch.setattr("stages.classify.report.confusion_picture", lambda counts, classes: blank)
            monkeypatch.setattr("stages.linear_probe.regression.choice_picture", lambda choices: blank)
        write_features(tmp_path, features)
        context = make_context(out=out, features=tmp_path)
        return run(config, context), context

    return run_it


def many(classes: int, each: int = 12) -> tuple[list[tuple[int, str]], np.ndarray]:
    videos = [(c, "test" if i % 3 == 0 else "train") for i in range(each) for c in range(classes)]
    return videos, np.array([c for c, _ in videos])


def test_clear_classes_are_told_apart_and_noise_is_not(probe) -> None:
    videos, targets = many(7)
    noise = np.random.default_rng(1).normal(size=(len(targets), 8)).astype(np.float32)
    found, context = probe(videos, {0: blobs(targets, 0.1, 0), 3: noise})
    assert found["seeds"]["0"] == {"top1": 1.0, "mean_class": 1.0, "top5": 1.0}
    assert found["seeds"]["3"]["top1"] < 0.5
    assert found["test_videos"] == 28
    assert found["chance"]["top1"] == pytest.approx(1 / 7)
    assert found["chance"]["top5"] == pytest.approx(5 / 7)
    assert {p.name for p in context.out.rglob("*.png")} == {"confusion.png", "regulariser.png"}


def test_the_scale_and_the_place_of_features_do_not_matter(probe) -> None:
    videos, targets = many(4)
    features = blobs(targets, 0.8, 0).astype(np.float64)
    moved = features * np.geomspace(1e-2, 1e2, 8) + 30
    found, _ = probe(videos, {0: features.astype(np.float32), 1: moved.astype(np.float32)})
    assert 0.5 < found["seeds"]["0"]["top1"] < 1
    assert found["seeds"]["1"] == found["seeds"]["0"]


def test_top5_is_left_out_where_it_says_nothing(probe) -> None:
    videos, targets = many(5)
    found, _ = probe(videos, {0: blobs(targets, 0.1, 0)})
    assert set(found["seeds"]["0"]) == {"top1", "mean_class"} == set(found["chance"])


def test_files_say_what_was_predicted_and_tried(probe) -> None:
    videos, targets = many(3)
    found, context = probe(videos, {0: blobs(targets, 1.5, 0), 1: blobs(targets, 1.5, 1)})
    rows = pq.read_table(context.out / "predictions.parquet").to_pylist()
    assert len(rows) == 2 * found["test_videos"]
    for seed in (0, 1):
        mine = [r for r in rows if r["seed"] == seed]
        assert [r["path"] for r in mine] == [
            f"v{i:04d}.mp4" for i, (_, split) in enumerate(videos) if split == "test"
        ]
        assert np.mean([r["right"] for r in mine]) == pytest.approx(found["seeds"][str(seed)]["top1"])
        assert all(r["right"] == (r["label"] == r["predicted"]) for r in mine)
        probabilities = load_file(context.out / "probabilities.safetensors")[f"s{seed}"]
        assert probabilities.sum(axis=1) == pytest.approx(np.ones(len(mine)), abs=1e-5)
        assert [f"class_{c}" for c in probabilities.argmax(axis=1)] == [r["predicted"] for r in mine]
    with (context.out / "held_out.csv").open() as file:
        trials = list(csv.DictReader(file))
    assert [(t["seed"], t["l2"]) for t in trials] == [(s, v) for s in "01" for v in ("1", "0.1", "0.01")]
    assert [sum(int(t["chosen"]) for t in trials if t["seed"] == s) for s in "01"] == [1, 1]


def test_the_same_bytes_twice(probe) -> None:
    videos, targets = many(4)
    outputs = []
    for out in ("a", "b"):
        _, context = probe(videos, {0: blobs(targets, 1.0, 0)}, out=out, drawn=True)
        outputs.append(
            {p.relative_to(context.out): p.read_bytes() for p in context.out.rglob("*") if p.is_file()}
        )
    assert outputs[0] == outputs[1] and len(outputs[0]) == 5


def test_test_videos_have_no_say_in_the_choice(probe) -> None:
    videos, targets = many(4)
    features = blobs(targets, 1.5, 0)
    spoilt = features.copy()
    spoilt[[split == "test" for _, split in videos]] *= -3
    choices = []
    for table, out in ((features, "a"), (spoilt, "b")):
        _, context = probe(videos, {0: table}, out=out)
        choices.append((context.out / "held_out.csv").read_bytes())
    assert choices[0] == choices[1]


def test_trials_are_fits_without_the_held_out_videos(make_context) -> None:
    from stages.linear_probe.logistic import Scaling, fit

    _, targets = many(3)
    features = blobs(targets, 1.0, 0)
    held = np.arange(len(targets)) % 4 == 0
    trials = try_out(features, targets, held, 3, [1.0, 0.1], 500, make_context())
    scaling = Scaling.of(features[~held])
    for trial, l2 in zip(trials, (1.0, 0.1)):
        scores = fit(scaling(features[~held]), targets[~held], 3, l2, 500).scores(scaling(features[held]))
        assert trial.accuracy == pytest.approx((scores.argmax(axis=1) == targets[held]).mean())
        assert trial.loss == pytest.approx(-scores[np.arange(held.sum()), targets[held]].mean(), abs=1e-4)


def test_the_choice_by_hand() -> None:
    trials = [Trial({}, 0.5, 1.0), Trial({}, 0.7, 2.0), Trial({}, 0.7, 1.5), Trial({}, 0.7, 1.5)]
    assert best_of(trials) == 2


@pytest.mark.parametrize(
    "accuracies, best, expected",
    [
        ([0.9, 0.8, 0.7], 0, True),
        ([0.7, 0.8, 0.9], 2, True),
        ([0.9, 0.9, 0.7], 0, False),
        ([0.7, 0.9, 0.8], 1, False),
        ([0.9], 0, False),
    ],
)
def test_the_end_of_the_grid(accuracies: list[float], best: int, expected: bool) -> None:
    assert at_end_of_grid(tuple(Trial({}, a, 1.0) for a in accuracies), best) is expected


def test_a_grid_that_is_too_short_is_told(probe, capsys) -> None:
    # Three quarters are of class 0: a regulariser that is far too strong predicts nothing else.
    targets = np.tile(np.repeat([0, 1], [3, 1]), 30)
    videos = [(int(t), "test" if i % 10 == 0 else "train") for i, t in enumerate(targets)]
    config = Config(held_out=HeldOut(), lbfgs=Lbfgs(l2=(1e3, 1.0)))
    probe(videos, {0: blobs(targets, 0.1, 0)}, config)
    assert "end of the grid: 1 (seed 0); extend lbfgs.l2" in capsys.readouterr().err
    probe(videos, {0: blobs(targets, 0.1, 0)}, Config(held_out=HeldOut(), lbfgs=Lbfgs(l2=(1.0,))), out="one")
    assert "grid" not in capsys.readouterr().err


def test_a_class_absent_from_train_counts_as_wrong(probe, capsys) -> None:
    videos, targets = many(3)
    videos = [(c, "test" if c == 2 else split) for c, split in videos]
    found, context = probe(videos, {0: blobs(targets, 0.05, 0)})
    # 4 of each of two classes are right, all 12 of the third are wrong
    assert found["seeds"]["0"]["top1"] == pytest.approx(8 / 20)
    assert found["seeds"]["0"]["mean_class"] == pytest.approx(2 / 3)
    assert not load_file(context.out / "probabilities.safetensors")["s0"][:, 2].any()
    assert "class_2" in capsys.readouterr().err


def test_a_single_class_in_train(probe, capsys) -> None:
    videos = [(0, "train")] * 6 + [(0, "test"), (1, "test")]
    found, _ = probe(videos, {0: np.random.default_rng(0).normal(size=(8, 4)).astype(np.float32)})
    assert found["seeds"]["0"]["top1"] == 0.5
    assert "all training videos are of one class, class_0" in capsys.readouterr().err


def test_constant_features_give_chance_and_no_crash(probe) -> None:
    videos, targets = many(4)
    found, _ = probe(videos, {0: np.full((len(targets), 6), 0.3, np.float32)})
    assert found["seeds"]["0"]["top1"] == 0.25


def test_one_video_a_class_leaves_nothing_to_choose_with(probe, capsys) -> None:
    videos = [(c, split) for c in range(3) for split in ("train", "test")]
    targets = np.array([c for c, _ in videos])
    found, context = probe(videos, {0: blobs(targets, 0.01, 0)})
    assert found["seeds"]["0"]["top1"] == 1.0
    assert "regulariser 0.1, the middle of the grid" in capsys.readouterr().err
    assert not (context.out / "held_out.csv").exists()


def test_one_source_for_all_is_told(probe, capsys) -> None:
    videos, targets = many(3)
    probe(videos, {0: blobs(targets, 0.1, 0)}, groups=[0] * len(videos))
    assert "no source of videos can be held out" in capsys.readouterr().err


def test_no_test_videos(probe) -> None:
    with pytest.raises(UserError, match="no video has split 'test'"):
        probe([(0, "train"), (1, "train")], {0: np.ones((2, 3), np.float32)})


def test_a_fit_that_did_not_end_is_told(probe, capsys) -> None:
    videos, targets = many(4)
    probe(
        videos, {0: blobs(targets, 1.0, 0)}, Config(held_out=HeldOut(), lbfgs=Lbfgs(l2=(1e-5,), iterations=2))
    )
    assert "raise lbfgs.iterations" in capsys.readouterr().err


def test_scores_of_seen_classes_in_all_classes() -> None:
    full = to_all_classes(np.array([[1.0, 2.0]]), np.array([0, 3]), 4)
    assert full.tolist() == [[1.0, -np.inf, -np.inf, 2.0]]
    assert measure(full, np.array([3]), 4) == {"top1": 1.0, "mean_class": 1.0}


def test_the_mode_on_features_needs_no_torch() -> None:
    import subprocess

    code = "import sys, stages.linear_probe.stage, stages.retrieval.stage; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_large_sets_give_the_same_as_small_ones(probe, monkeypatch) -> None:
    videos, targets = many(4)
    small, _ = probe(videos, {0: blobs(targets, 1.0, 0)}, out="small")
    monkeypatch.setattr("stages.linear_probe.regression.LARGE", 0)
    large, _ = probe(videos, {0: blobs(targets, 1.0, 0)}, out="large")
    assert small == large
