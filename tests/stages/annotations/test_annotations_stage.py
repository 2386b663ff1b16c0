"""A data set in ActivityNet's form from outside: what is listed, written and said, and what follows on it."""

from __future__ import annotations

import json

import numpy as np
import pytest
from PIL import Image

from engine.errors import UserError
from engine.run.checkpoint import Checkpoints
from engine.run.context import Context
from engine.run.local import Local
from engine.track.record import Record
from stages.annotations import headers
from stages.clips import stage as clips_stage
from stages.clips.spec import Config as ClipsConfig
from stages.video.clips import Clips


@pytest.fixture
def videos(film, database):
    """Two videos for training, one for test, one of a subset without labels."""
    film("a.mp4", 20)
    film("deep/below/v_b.mp4", 30)
    film("c.mp4", 25)
    film("d.mp4", 10)
    database(
        {
            "b": ("Training", 3.0, [(2.0, 2.5, "run"), (0.0, 1.0, "jump"), (1.0, 1.2, "run")]),
            "a": ("training", 2.0, []),
            "c": ("validation", 2.5, [(0.5, 2.0, "run")]),
            "d": ("testing", 1.0, []),
        }
    )


def test_what_is_listed(videos, listed):
    result = listed()
    assert result.splits == {"a.mp4": "train", "deep/below/v_b.mp4": "train", "c.mp4": "test"}
    assert {v.path: v.label for v in result.listing.videos} == {
        "a.mp4": "background", "c.mp4": "run", "deep/below/v_b.mp4": "jump",
    }  # fmt: skip
    assert result.annotations.classes == ("jump", "run") and result.listing.classes == ("jump", "run", "background")
    assert result.named("deep/below/v_b.mp4") == [(0.0, 1.0, "jump"), (1.0, 1.2, "run"), (2.0, 2.5, "run")]
    assert result.named("a.mp4") == []
    assert result.annotations.durations == {"a.mp4": 2.0, "c.mp4": 2.5, "deep/below/v_b.mp4": 3.0}
    assert result.metrics == {
        "videos": 3, "classes": 2, "train_videos": 2, "train_segments": 3, "val_videos": 0, "val_segments": 0,
        "test_videos": 1, "test_segments": 1, "problems": 1, "found_prefix": 1,
        "bytes": sum(v.size for v in result.listing.videos),
    }  # fmt: skip
    assert result.problems == [("b", "prefix: its file is deep/below/v_b.mp4")]
    assert "info: 1 videos of subset 'testing' are left out" in result.messages
    assert "warning: 1 of 2 classes have no segment in test: jump" in result.messages


def test_outputs_hold_no_paths_of_the_machine(videos, listed, tmp_path):
    out = listed().out
    assert sorted(p.name for p in out.iterdir()) == [
        "annotations.json", "classes.json", "listing.parquet", "problems.csv",
    ]  # fmt: skip
    assert not any(str(tmp_path).encode() in p.read_bytes() for p in out.iterdir())


def test_a_second_run_opens_no_video_and_writes_the_same(videos, listed, monkeypatch):
    before = {p.name: p.read_bytes() for p in listed().out.iterdir()}
    monkeypatch.setattr(headers, "_header", None)
    assert {p.name: p.read_bytes() for p in listed().out.iterdir()} == before


def test_clips_follow_on_it(videos, listed, root, tmp_path):
    """The clips stage runs on this listing as on any other."""
    result = listed()
    out = tmp_path / "clips"
    out.mkdir()
    local = Local(datasets={"mine": str(root)}, store=str(tmp_path / "store"), workers=0)
    context = Context("demo.clips", 0, {"listing": result.out}, out, local, Record(None), Checkpoints(None))
    metrics = clips_stage.run(
        ClipsConfig.model_validate({"dataset": "mine", "pack": {"kind": "raw"}, "broken_limit": 0.0}), context
    )
    clips = Clips.open(out, context)
    assert metrics["videos"] == 3 and metrics["classes"] == 3
    assert clips.paths == sorted(result.annotations.durations) and clips.frames.tolist() == [20, 25, 30]
    for row, path in enumerate(clips.paths):
        assert clips.frames[row] / 10 == result.annotations.durations[path]
    assert clips.read(0, np.array([19])).shape == (1, 16, 16, 3)


def test_folders_of_pictures(root, database, listed):
    """They have no container: their length is that of the frame rate that the spec gives."""
    for name, count in (("v_a", 5), ("b", 8)):
        (root / "frames" / name).mkdir(parents=True)
        for number in range(count):
            shade = np.full((16, 16, 3), 20 * number + count, np.uint8)
            Image.fromarray(shade).save(root / "frames" / name / f"img_{number:05d}.png")
    database({"a": ("training", 1.0, [(0, 1, "x")]), "b": ("validation", 9.0, [(0, 1, "x")])})
    result = listed(pictures=True, fps=5.0, duration="container")
    assert result.annotations.durations == {"frames/b": 1.6, "frames/v_a": 1.0}
    assert ("frames/b", "duration: annotated 9 s, but the file has 1.6 s") in result.problems


@pytest.mark.parametrize(("source", "seconds"), [("annotation", 2.4), ("container", 2.5), ("frames", 2.5)])
def test_which_duration_is_recorded(film, database, listed, source, seconds):
    film("a.mp4", 25)
    database({"a": ("training", 2.4, [(0, 1, "x")])})
    result = listed(duration=source, subsets={"training": "train"})
    assert result.annotations.durations == {"a.mp4": seconds}
    assert result.annotations.duration_sources == {"a.mp4": source}


def test_classes_in_the_order_of_a_file(videos, listed, root):
    (root / "classes.txt").write_text("run\njump\nswim\n")
    result = listed(classes="classes.txt")
    assert result.annotations.classes == ("run", "jump", "swim")
    assert result.named("c.mp4") == [(0.5, 2.0, "run")]
    assert "warning: 1 of 3 classes have no segment in train: swim" in result.messages


def test_ignored_labels_and_blocked_videos(film, videos, listed, root):
    (root / "blocked.json").write_text(json.dumps({"v_abcdefghijk": "gone", "a": "wrong"}))
    result = listed(ignored_labels=["jump"], blocked="blocked.json")
    assert result.annotations.classes == ("run",)
    assert result.splits == {"deep/below/v_b.mp4": "train", "c.mp4": "test"}
    assert ("b", "ignored label: 1 segments are left out") in result.problems
    assert ("a", "blocked: left out as asked") in result.problems
    assert any("1 segments of ignored labels (jump) are no ground truth" in m for m in result.messages)
    assert any("1 of 2 blocked names" in m for m in result.messages)


def test_blocked_names_in_text_and_in_the_spec(film, database, listed, root):
    for name in ("a", "v_abcdefghijk", "c"):
        film(f"{name}.mp4", 10)
    database({name: ("training", 1.0, [(0, 1, "x")]) for name in ("a", "abcdefghijk", "c")})
    (root / "blocked.txt").write_text("v_abcdefghijk\n")
    result = listed(blocked="blocked.txt", left_out=["c"], subsets={"training": "train"})
    assert list(result.splits) == ["a.mp4"]


def test_a_blocked_name_with_a_dot_is_that_one_video(film, database, listed):
    for name in ("match.day1", "match.day2"):
        film(f"{name}.mp4", 10)
    database({name: ("training", 1.0, [(0, 1, "x")]) for name in ("match.day1", "match.day2")})
    result = listed(left_out=["match.day1"], subsets={"training": "train"})
    assert list(result.splits) == ["match.day2.mp4"]


def test_a_class_called_background(film, database, listed):
    film("a.mp4")
    database({"a": ("training", 2.0, [(0, 1, "background"), (1, 2, "x")])})
    with pytest.raises(UserError, match=r"set `ignored_labels: \[background\]`"):
        listed(subsets={"training": "train"})
    assert listed(subsets={"training": "train"}, ignored_labels=["background"]).named("a.mp4") == [(1.0, 2.0, "x")]


def test_real_videos(data, listed):
    """Composed of clips at known frames: every boundary of the annotations is one of the composition."""
    for name, videos, segments in (("keywords", 45, 487), ("fights", 21, 43)):
        result = listed(at=data / name, snippet=57)
        assert result.metrics["videos"] == videos and result.problems == []
        assert result.metrics["train_segments"] + result.metrics["test_segments"] == segments
        lines = (data / name / "composition.csv").read_text().splitlines()[1:]
        fps = {"keywords": 15, "fights": 25}[name]
        cuts = {(line.split(",")[0], int(n)) for line in lines for n in line.split(",")[2:]}
        for path in result.annotations.instances:
            for start, end, _ in result.named(path):
                video = path.removeprefix("videos/").removesuffix(".mp4")
                for time in (start, end):
                    assert (video, round(time * fps)) in cuts and abs(round(time * fps) / fps - time) < 1e-3
