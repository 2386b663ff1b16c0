"""From features to tables: trained heads on test videos."""

from __future__ import annotations

import csv
import json
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from engine.errors import UserError
from engine.run.checkpoint import Checkpoints
from engine.run.local import Local
from stages.class_scores import stage as class_scores
from stages.class_scores.reading import read_score_file
from stages.class_scores.spec import Config as ScoresConfig
from stages.class_scores.spec import ScoreFile
from stages.detect import stage
from stages.detect.class_scores import given_scores
from stages.detect.spec import Config, Scoring
from stages.linear_probe.spec import Lbfgs
from stages.localization import stage as localization
from stages.localization.spec import Config as TrainConfig
from stages.localization.spec import HeadSchedule, HeldOutVideos, Thresholds
from stages.tal.annotations import Annotations
from stages.tal.detection_map import detection_map
from stages.tal.head_spec import Head, Inference
from stages.tal.results_json import read_results

HEAD = Head(channels=64, align_bins=8, context_bins=2, inference=Inference(top=20))
SCORING = Scoring(
    thresholds=tuple(Thresholds().values()),
    class_scores="own",
    clean_truth=False,
    without_features="leave_out",
)


def detect(made, tmp_path, heads, name="found", checkpoints=None, seeds=(0,), inputs=None, **scoring) -> dict:
    config = Config(
        seeds=seeds, inference=HEAD.inference, parity=False, scoring=SCORING.model_copy(update=scoring)
    )
    context = made.context(tmp_path, name, checkpoints=checkpoints, heads=tuple(heads), **(inputs or {}))
    return stage.run(config, context)


def train(made, tmp_path, name, seed=0, epochs=1, lr=1e-3) -> Path:
    config = TrainConfig(
        head=HEAD,
        schedule=HeadSchedule(epochs=epochs, batch=4, lr=lr),
        classifier=Lbfgs(l2=(0.1,)),
        select="last",
        held_out=HeldOutVideos(),
    )
    context = made.context(tmp_path, name, seed=seed)
    localization.run(config, context)
    return context.out


def outputs(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


@pytest.fixture(autouse=True)
def plain_pictures(request, monkeypatch):
    """Drawing takes longer than these detections; one test does it."""
    picture = np.zeros((1, 1, 3), np.uint8)
    monkeypatch.setattr(localization, "curve_picture", lambda *_: picture)
    if "files" not in request.node.name:
        monkeypatch.setattr("stages.detect.report.timelines", lambda *_: picture)
        monkeypatch.setattr("stages.detect.report.precision_recall", lambda *_: picture)


def test_files_and_metrics_in_the_form_that_tables_read(make_set, tmp_path):
    made = make_set(seeds=(0, 3))
    heads = [train(made, tmp_path, f"s{seed}", seed) for seed in (0, 3)]
    metrics = detect(made, tmp_path, heads, seeds=(0, 3))
    assert set(metrics["seeds"]) == {"0", "3"} and metrics["test_videos"] == 6
    names = {"map", "map_own", "map_oracle", "ar_at_1", "ar_at_5", "ar_at_10", "ar_at_100", "auc", "top1"}
    assert set(metrics["seeds"]["0"]) == names | {f"map_{n}" for n in range(50, 100, 5)}
    assert metrics["chance"] == {"top1": 1 / 3}
    assert set(outputs(tmp_path / "found")) == {
        "own.s0.json", "own.s3.json", "per_class.csv", "pictures/timelines.png", "pictures/precision_recall.png",
    }  # fmt: skip
    with (tmp_path / "found" / "per_class.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [(r["seed"], r["class"], r["segments"]) for r in rows[:2]] == [
        ("0", "dive", "3"),
        ("0", "jump", "3"),
    ]
    for seed in ("0", "3"):
        mean = np.mean([float(row["average_ap"]) for row in rows if row["seed"] == seed])
        assert metrics["seeds"][seed]["map"] == pytest.approx(mean)


def test_the_result_file_evaluates_to_the_same_map(make_set, tmp_path):
    made = make_set()
    metrics = detect(made, tmp_path, [train(made, tmp_path, "s0")])
    annotations = Annotations.open(made.annotations)
    videos = [f"v{n}.mp4" for n in range(12, 18)]
    read, _ = read_results(tmp_path / "found" / "own.s0.json", videos, annotations.classes)
    again = detection_map(annotations.segments(videos), read, Thresholds().values())
    assert again.average_map == metrics["seeds"]["0"]["map"] > 0


def test_training_finds_segments(make_set, tmp_path):
    made = make_set(train=24, test=12)
    good = detect(made, tmp_path, [train(made, tmp_path, "long", epochs=15, lr=3e-3)], "good")["seeds"]["0"]
    poor = detect(made, tmp_path, [train(made, tmp_path, "short", lr=1e-30)], "poor")["seeds"]["0"]
    assert good["map"] > 0.6 and poor["map"] < 0.3, (good, poor)
    assert good["ar_at_10"] > poor["ar_at_10"] and good["auc"] > poor["auc"]
    assert good["map"] == good["map_own"] and good["map_oracle"] > 0.6 and good["top1"] > 0.9


def test_kills_change_no_bit(make_set, tmp_path, monkeypatch):
    monkeypatch.setattr(stage, "BATCH", 2)
    made = make_set(seeds=(0, 1))
    heads = [train(made, tmp_path, f"s{seed}", seed) for seed in (0, 1)]
    expected = detect(made, tmp_path, heads, "plain", seeds=(0, 1))

    class Killed(Exception):
        pass

    class Dying(Checkpoints):
        def after_step(self, done, total, state, context) -> None:
            super().after_step(done, total, state, context)
            if done == 5:
                raise Killed

    with pytest.raises(Killed):
        detect(made, tmp_path, heads, "dead", Dying(tmp_path / "saved", 2), (0, 1))
    monkeypatch.setattr(stage.Found, "add", counted := Counted(stage.Found.add))
    assert detect(made, tmp_path, heads, "again", Checkpoints(tmp_path / "saved", 2), (0, 1)) == expected
    assert outputs(tmp_path / "again") == outputs(tmp_path / "plain")
    assert counted.calls == 4  # two of six batches of two videos


class Counted:
    """A method that counts its calls."""

    def __init__(self, method) -> None:
        self.method, self.calls = method, 0

    def __get__(self, instance, owner):
        def call(*arguments):
            self.calls += 1
            return self.method(instance, *arguments)

        return call


def test_no_ground_truth_is_refused(make_set, tmp_path):
    made = make_set(empty=range(12, 18))
    with pytest.raises(UserError, match="no ground-truth segment"):
        detect(made, tmp_path, [train(made, tmp_path, "s0")])


def test_videos_without_features_are_left_out_or_count_as_missed(make_set, tmp_path, capsys):
    made = make_set(absent=(13, 15, 17))
    head = train(made, tmp_path, "s0")
    out = detect(made, tmp_path, [head], "out")
    assert (out["test_videos"], out["without_features"]) == (3, 3)
    assert "3 of 6 test videos have no features and are left out (first: v13.mp4)" in capsys.readouterr().err
    missed = detect(made, tmp_path, [head], "missed", without_features="missed")
    assert missed["test_videos"] == 6 and missed["test_segments"] > out["test_segments"]
    assert missed["detections"] == out["detections"]
    assert missed["seeds"]["0"]["map_oracle"] < out["seeds"]["0"]["map_oracle"]
    assert len(json.loads((tmp_path / "missed" / "own.s0.json").read_text())["results"]) == 6


def test_a_head_of_other_classes_is_refused(make_set, tmp_path):
    made = make_set()
    head = train(made, tmp_path, "s0")
    card = json.loads((head / "detector.json").read_text())
    (head / "detector.json").write_text(json.dumps(card | {"classes": ["a", "b", "c"]}))
    with pytest.raises(UserError, match="trained for other classes"):
        detect(made, tmp_path, [head])


def test_recall_of_proposals_has_the_official_thresholds_whatever_those_of_map(make_set, tmp_path):
    made = make_set()
    head = train(made, tmp_path, "s0")
    official = detect(made, tmp_path, [head], "official")["seeds"]["0"]
    thumos = detect(made, tmp_path, [head], "thumos", thresholds=(0.3, 0.4))["seeds"]["0"]
    for name in ("auc", "ar_at_1", "ar_at_5", "ar_at_10", "ar_at_100"):
        assert thumos[name] == official[name] > 0
    assert thumos["map"] > official["map"]


def test_a_video_without_scores_counts_as_wrong():
    true = np.array([[1.0, 0.0], [1.0, 0.0], [0.0, 0.0]])
    scores = np.array([[0.9, 0.1], [0.0, 0.0], [1.0, 0.0]])
    assert stage._top1(scores, true) == 0.5


def test_two_videos_of_one_id_are_refused_before_any_inference(make_set, tmp_path, monkeypatch):
    made = make_set()
    head = train(made, tmp_path, "s0")
    original = stage.tested_videos
    monkeypatch.setattr(
        stage, "tested_videos", lambda *given: replace(original(*given), videos=("a/x.mp4", "b/x.mp4"))
    )
    monkeypatch.setattr(stage, "find_proposals", None)
    with pytest.raises(UserError, match=r"a/x\.mp4 and b/x\.mp4 have the same id"):
        detect(made, tmp_path, [head])


def score_file(tmp_path, content) -> Local:
    (tmp_path / "scores.json").write_text(json.dumps(content))
    return Local(device="cpu", datasets={"cuhk": str(tmp_path)}, store=str(tmp_path / "store"))


def read_external(made, tmp_path, content, missing="fail"):
    context = made.context(tmp_path, "scores")
    context.local = score_file(tmp_path, content)
    config = ScoresConfig(scores=ScoreFile(root="cuhk", file="scores.json", missing=missing))
    return class_scores.run(config, context), context.out


def test_scores_of_a_file_take_the_place_of_the_own_ones(make_set, tmp_path):
    """The file has the classes in another order and one more; it always names the class after the true one."""
    made = make_set()
    head = train(made, tmp_path, "s0", epochs=8, lr=3e-3)
    wrong = {f"v{n}": [0.0, *np.roll(np.eye(3)[(n + 1) % 3], 1).tolist()] for n in range(12, 18)}
    content = {"class": ["other", "spin", "dive", "jump"], "results": wrong}
    metrics, folder = read_external(made, tmp_path, content)
    assert metrics == {"videos": 6, "missing": 0, "classes": 3}
    found = detect(made, tmp_path, [head], "a", inputs={"class_scores": folder})["seeds"]["0"]
    assert found["map"] == found["map_own"] > 0 == found["map_external"]
    found = detect(made, tmp_path, [head], "b", inputs={"class_scores": folder}, class_scores="external")[
        "seeds"
    ]["0"]
    assert found["map"] == found["map_external"] == 0 < found["map_own"]
    right = {name: np.roll(values[1:], -1).tolist() for name, values in wrong.items()}
    _, folder = read_external(made, tmp_path, {"class": ["spin", "dive", "jump"], "results": right})
    found = detect(made, tmp_path, [head], "c", inputs={"class_scores": folder})["seeds"]["0"]
    assert found["map_external"] == pytest.approx(found["map_oracle"])
    written = json.loads((tmp_path / "b" / "external.s0.json").read_text())
    assert written["external_data"]["used"] is True


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"class": ["dive", "jump"], "results": {}}, "no scores of 1 of 3 classes: spin"),
        ({"class": ["dive", "jump", "spin"], "results": {"v12": [1, 2]}}, "'v12'.*3 finite numbers"),
        ({"class": ["dive", "jump", "spin"], "results": {"v12": [1, 2, True]}}, "'v12'.*3 finite numbers"),
        (
            {"class": ["dive", "jump", "spin"], "results": {"v12": [1, 2, math.nan]}},
            "'v12'.*3 finite numbers",
        ),
        (
            {"class": ["dive", "jump", "spin"], "results": {"v12": [-0.5, 1, 2]}},
            "-0.5, .*apply a softmax first",
        ),
        ({"results": {}}, "must have `class`"),
        (
            {"class": ["dive", "jump", "spin"], "results": {"v12": [1, 0, 0]}},
            "no scores of 5 of 6 test videos .v13.mp4",
        ),
    ],
)
def test_files_without_usable_scores(make_set, tmp_path, content, message):
    with pytest.raises(UserError, match=message):
        read_external(make_set(), tmp_path, content)


def test_scores_of_names_with_dots(tmp_path):
    scores = {"match.day1": [1.0], "match.day2": [0.5], "v_wONwHYy59Tc": [0.25]}
    score_file(tmp_path, {"class": ["dive"], "results": scores})
    found = read_score_file(tmp_path / "scores.json", ["dive"])
    videos = ["a/match.day2.mp4", "match.day1.mp4", "wONwHYy59Tc.mkv", "match.mp4"]
    assert given_scores(found, videos, 1)[:, 0].tolist() == [0.5, 1.0, 0.25, 0.0]


def test_videos_without_scores_have_no_detections_if_one_says_so(make_set, tmp_path):
    made = make_set()
    content = {"class": ["dive", "jump", "spin"], "results": {"v12": [1, 0, 0], "v13": [0, 1, 0]}}
    metrics, folder = read_external(made, tmp_path, content, missing="skip")
    assert metrics["missing"] == 4
    detect(made, tmp_path, [train(made, tmp_path, "s0")], inputs={"class_scores": folder})
    results = json.loads((tmp_path / "found" / "external.s0.json").read_text())["results"]
    assert [name for name, found in results.items() if found] == ["v12", "v13"]
