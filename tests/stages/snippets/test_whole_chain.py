"""From video files to detections: the stages one after another, and the call for a single file, which must agree."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from engine.errors import UserError
from stages.detect import stage as detect_stage
from stages.detect.spec import Config as DetectConfig
from stages.detect.spec import Scoring
from stages.linear_probe.spec import Lbfgs
from stages.localization import predict as predicting
from stages.localization import stage as training_stage
from stages.localization.predict import Detection, length_of, main, predict, usable_device
from stages.localization.spec import Config, HeadSchedule, HeldOutVideos
from stages.snippets import stage as snippets_stage
from stages.snippets.spec import Config as SnippetsConfig
from stages.snippets.spec import Snippets
from stages.tal.head_spec import Head, Inference
from stages.tal.results_json import id_of_path
from stages.video.container import VideoError
from stages.video.index import Checked

HEAD = Head(channels=64, align_bins=4, context_bins=2, inference=Inference(top=10))


@pytest.fixture
def detector(videos, monkeypatch) -> Path:
    """Folder of a detector that was trained on the videos."""
    picture = np.zeros((1, 1, 3), np.uint8)
    monkeypatch.setattr(training_stage, "curve_picture", lambda *_: picture)
    monkeypatch.setattr("stages.detect.report.timelines", lambda *_: picture)
    monkeypatch.setattr("stages.detect.report.precision_recall", lambda *_: picture)
    encoder = videos.encoder(0)
    features = SnippetsConfig(
        seeds=(0,), snippets=Snippets(count=6, frames=4, stride=2, size=16), precision="fp32"
    )
    snippets_stage.run(features, videos.context("features", models=(encoder,)))
    config = Config(
        head=HEAD,
        schedule=HeadSchedule(epochs=2, batch=2),
        classifier=Lbfgs(l2=(0.1,)),
        select="last",
        held_out=HeldOutVideos(),
    )
    training_stage.run(config, videos.context("detector", snippets=videos.root / "features", encoder=encoder))
    return videos.root / "detector"


def test_a_single_file_gives_what_the_evaluation_found_in_it(videos, detector):
    scoring = Scoring(thresholds=(0.5,), class_scores="own", clean_truth=False, without_features="leave_out")
    config = DetectConfig(seeds=(0,), inference=HEAD.inference, parity=False, scoring=scoring)
    context = videos.context("found", snippets=videos.root / "features", heads=(detector,))
    metrics = detect_stage.run(config, context)
    assert metrics["test_videos"] == 2 and set(metrics["seeds"]["0"]) >= {
        "map",
        "map_50",
        "map_oracle",
        "ar_at_100",
    }
    results = json.loads((context.out / "own.s0.json").read_text())["results"]
    tested = sorted(videos.annotations.glob("videos/test_*.mp4"))
    assert len(tested) == 2
    for path in tested:
        found = predict(detector, path)
        expected = results[id_of_path(path.name)]
        assert [[one.start, one.end] for one in found] == pytest.approx(
            np.array([e["segment"] for e in expected]), abs=1e-9
        )
        assert [one.score for one in found] == pytest.approx([e["score"] for e in expected], rel=1e-5)
        assert [one.label for one in found] == [e["label"] for e in expected]
        assert len(found) == 20 and all(isinstance(one, Detection) for one in found)


def test_the_command(videos, detector, capsys):
    path = min(videos.annotations.glob("videos/*.mp4"))
    assert main([str(detector), str(path)]) == 0
    found = json.loads(capsys.readouterr().out)[str(path)]
    assert set(found[0]) == {"start", "end", "label", "score"}
    assert found[0]["score"] == max(one["score"] for one in found)
    assert main([str(detector), str(path.with_name("nothing.mp4"))]) == 1
    assert "nothing.mp4" in capsys.readouterr().err


def test_a_video_that_cannot_be_read_spares_the_others(videos, detector, tmp_path, monkeypatch, capsys):
    good = min(videos.annotations.glob("videos/*.mp4"))
    (broken := tmp_path / "broken.mp4").write_bytes(b"no video")
    (gone := tmp_path / "gone.mp4").write_bytes(good.read_bytes())
    original = predicting.read_frames

    def reading(path, *rest):
        if path == gone:
            raise VideoError("error", "the disk is away")
        return original(path, *rest)

    monkeypatch.setattr(predicting, "read_frames", reading)
    assert main([str(detector), str(broken), str(gone), str(good)]) == 1
    printed = capsys.readouterr()
    assert list(json.loads(printed.out)) == [str(good)]
    first, second = printed.err.strip().splitlines()
    assert first.startswith(f"error: {broken}") and "gone.mp4" in second and "the disk is away" in second
    assert main([str(detector), str(good), "--device", "gpu"]) == 1
    assert "error: device 'gpu' cannot be used" in capsys.readouterr().err


def test_devices(monkeypatch):
    def without_driver(*_, **__):
        raise RuntimeError("Found no NVIDIA driver on your system.\nMore lines")

    assert usable_device("cpu").type == "cpu"
    monkeypatch.setattr(torch, "empty", without_driver)
    with pytest.raises(UserError, match="device 'cuda' cannot be used: Found no NVIDIA driver on your system. Take cpu"):
        usable_device("cuda")


@pytest.mark.parametrize(
    ("checked", "expected"),
    [
        (Checked("ok", frames=50, fps=25.0, duration=2.1), 2.1),
        (Checked("ok", frames=50, fps=25.0), 2.0),
        (Checked("partial", frames=25, fps=25.0, duration=2.1), 1.0),
        (Checked("partial", frames=25, duration=2.1), 0.0),
    ],
)
def test_the_length_of_a_video_is_that_of_its_frames(checked, expected):
    assert length_of(checked) == expected


def test_what_cannot_be_predicted_with(videos, detector, tmp_path):
    video = min(videos.annotations.glob("videos/*.mp4"))
    with pytest.raises(UserError, match="not the output of a localization training"):
        predict(tmp_path, video)
    (tmp_path / "broken.mp4").write_bytes(b"no video")
    with pytest.raises(UserError, match="broken.mp4"):
        predict(detector, tmp_path / "broken.mp4")
    (detector / "encoder.safetensors").unlink()
    with pytest.raises(UserError, match="trained on published features"):
        predicting.Predictor(detector)
