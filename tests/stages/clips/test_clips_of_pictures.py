"""From folders of pictures through listing and clips to frames by number."""

from __future__ import annotations

import csv
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from engine.compile.plan import Plan
from engine.errors import UserError
from engine.run.checkpoint import Checkpoints
from engine.run.context import Context
from engine.run.local import Local
from stages.clips import stage as clips_stage
from stages.clips.spec import Config as ClipsConfig
from stages.listing import stage as listing_stage
from stages.study import Study
from stages.video import index
from tests.stages.clips.conftest import KeptRecord, Result, pictures

VIDEOS = {"train/run/a": 8, "train/walk/b.1": 9, "test/run/c [x]": 10, "test/walk/d": 11}


def save(folder: Path, frames: np.ndarray, suffix: str = "jpg", first: int = 1) -> None:
    folder.mkdir(parents=True)
    for number, picture in enumerate(frames, first):
        Image.fromarray(picture).save(folder / f"img_{number}.{suffix}")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Four videos of two classes, extracted to JPEGs of 48 x 32 pixels."""
    for seed, (path, frames) in enumerate(VIDEOS.items()):
        save(tmp_path / "set" / path, pictures(frames, 48, 32, seed))
    return tmp_path / "set"


def reference(root: Path, path: str) -> np.ndarray:
    """All pictures of a video as PIL reads them: uint8 [T, H, W, 3]."""
    files = sorted((root / path).glob("img_*"), key=lambda file: int(file.stem[4:]))
    return np.stack([np.asarray(Image.open(file)) for file in files])


@pytest.fixture
def clips_of(tmp_path: Path, root: Path) -> Callable[..., Result]:
    """Plan a spec with this data set, and run its first two stages."""

    def make(out: str = "clips", store: str = "store", workers: int = 0, relist: bool = True, **data) -> Result:
        data = {"kind": "folder", "name": "mine", "pictures": {}, **data}
        content = {"spec": 1, "name": "demo", "data": data, "encoder": {"kind": "narrow", "width": 8}}
        configs = {stage.kind: stage.config for stage in Plan(Study.model_validate_json(json.dumps(content))).stages.values()}
        local = Local(datasets={"mine": str(root)}, store=str(tmp_path / store), workers=workers)

        def context(name: str, folder: Path, **inputs: Path) -> Context:
            folder.mkdir(exist_ok=True)
            return Context(f"demo.{name}", 0, inputs, folder, local, KeptRecord(), Checkpoints(None))

        if relist:
            listing_stage.run(configs["listing"], context("listing", tmp_path / "listing"))
        run = context("clips", tmp_path / out, listing=tmp_path / "listing")
        config: ClipsConfig = configs["clips"]
        metrics = clips_stage.run(config, run)
        with open(run.out / "problems.csv", newline="", encoding="utf-8") as file:
            problems = {row["path"]: row["problem"] for row in csv.DictReader(file)}
        return Result(metrics, problems, run.record.messages, run.out, run)

    return make


@pytest.mark.parametrize("kind", ["none", "raw", "jpeg"])
def test_frames_are_the_pictures(kind, root, clips_of):
    result = clips_of(pack={"kind": kind, "quality": 100})
    clips = result.clips
    assert clips.paths == sorted(VIDEOS) and clips.frames.tolist() == [VIDEOS[path] for path in clips.paths]
    assert clips.labels == ["run", "walk", "run", "walk"] and clips.splits == ["test", "test", "train", "train"]
    for row, path in enumerate(clips.paths):
        numbers = np.array([5, 0, VIDEOS[path] - 1, 5])
        got = clips.read(row, numbers)
        expected = reference(root, path)[numbers]
        assert got.shape == expected.shape and got.dtype == np.uint8
        apart = np.abs(got.astype(int) - expected)
        assert apart.mean() < 6 if kind == "jpeg" else apart.max() == 0
    assert result.problems == {}


def test_the_spec_says_how_fast_they_are_shown(clips_of):
    import pyarrow.parquet as pq

    result = clips_of(pictures={"fps": 10})
    assert result.metrics["hours"] == round(38 / 10 / 3600, 6)
    row = pq.read_table(result.out / "clips.parquet").to_pylist()[0]
    assert (row["frames"], row["fps"], row["first"], row["last"], row["duration"]) == (10, 10.0, 0.0, 0.9, 1.0)
    again = clips_of(out="again")
    assert again.metrics["hours"] == round(38 / 25 / 3600, 6)


def test_packed_frames_are_scaled_and_need_no_pictures(root, clips_of):
    result = clips_of(pack={"kind": "raw", "short_side": 16})
    expected = reference(root, "train/run/a")
    shutil.rmtree(root)
    got = result.clips.read(2, np.arange(8))
    assert got.shape == (8, 16, 24, 3)
    assert np.abs(got.reshape(8, 16, 24, 3).mean((1, 2)) - expected.mean((1, 2))).max() < 3


def test_pictures_that_are_broken_or_missing_are_reported(root, clips_of):
    cut = root / "train/run/a/img_5.jpg"
    cut.write_bytes(cut.read_bytes()[:100])
    (root / "train/walk/b.1/img_4.jpg").unlink()
    (root / "test/walk/d/img_1.jpg").write_bytes(b"")
    result = clips_of(broken_limit=0.3)
    assert result.clips.paths == ["test/run/c [x]", "train/run/a", "train/walk/b.1"]
    assert result.clips.frames.tolist() == [10, 4, 3]
    assert "4 frames decode; picture 5 cannot be read: " in result.problems["train/run/a"]
    assert result.problems["train/walk/b.1"] == "3 frames decode; after picture 3 comes 5, not 4"
    assert "picture 1 cannot be read: it is no picture" in result.problems["test/walk/d"]
    assert (result.metrics["broken"], result.metrics["partial"]) == (1, 2)
    with pytest.raises(IndexError, match="has 4 frames"):
        result.clips.read(1, np.array([4]))


def test_only_what_is_new_is_looked_at(root, clips_of, monkeypatch):
    clips_of()
    seen = []

    def check(path, *arguments):
        seen.append(path.relative_to(root).as_posix())
        return index.check(path, *arguments)

    monkeypatch.setattr("stages.clips.work.check", check)
    clips_of(out="same")
    assert seen == []
    save(root / "train/run/new", pictures(5, 48, 32, 9))
    Image.fromarray(pictures(12, 48, 32, 8)[11]).save(root / "test/walk/d/img_12.jpg")
    result = clips_of(out="more")
    assert sorted(seen) == ["test/walk/d", "train/run/new"]
    assert result.clips.frames.tolist() == [10, 12, 8, 5, 9]


def test_a_folder_that_changed_after_it_was_listed(root, clips_of):
    clips_of(pack={"kind": "none"})
    (root / "train/run/a/img_8.jpg").unlink()
    (root / "test/walk/d").rename(root / "test/walk/gone")
    result = clips_of(out="later", store="other", relist=False, broken_limit=0.6)
    assert result.problems == {
        "train/run/a": "has changed since it was listed; run again",
        "test/walk/d": "cannot be read: No such file or directory",
    }


def test_pictures_that_have_gone_when_they_are_read(root, clips_of):
    clips = clips_of(pack={"kind": "none"}).clips
    (root / "train/run/a/img_3.jpg").write_bytes(b"")
    with pytest.raises(UserError, match=r"train/run/a: picture 3 cannot be read: it is no picture\. It was readable"):
        clips.read(2, np.array([2]))
    shutil.rmtree(root / "train/run/a")
    with pytest.raises(UserError, match="train/run/a: cannot be read: No such file"):
        clips.read(2, np.array([0]))


def test_what_the_disk_does_not_give_is_asked_for_again(root, clips_of):
    """Unlike damage, which is remembered under the digest."""
    picture = root / "train/run/a/img_3.jpg"
    clips_of(pack={"kind": "none"})
    content = picture.read_bytes()
    picture.unlink()
    picture.mkdir()
    shutil.rmtree(root.parent / "store")
    result = clips_of(out="later", relist=False, pack={"kind": "none"}, broken_limit=0.5)
    assert "train/run/a" in result.problems
    picture.rmdir()
    picture.write_bytes(content)
    assert clips_of(out="again", relist=False, pack={"kind": "none"}).problems == {}


@pytest.mark.parametrize("workers", [0, 2])
def test_workers_change_nothing(workers, clips_of):
    result = clips_of(store=f"store{workers}", workers=workers, pack={"kind": "raw"})
    one = clips_of(out="one", store="store_of_one", pack={"kind": "raw"})
    assert result.files == one.files and result.metrics == one.metrics


def test_the_estimate_is_of_the_pictures(root, clips_of, tmp_path):
    clips_of(pack={"kind": "raw"})
    config = ClipsConfig.model_validate({"dataset": "mine", "pack": {}, "broken_limit": 0.05, "fps": 25.0})
    local = Local(datasets={"mine": str(root)})
    text = config.forecast({"listing": tmp_path / "listing"}, local, {})
    assert text.startswith("packs 4 videos as raw: about ")
    raw = 38 * 48 * 32 * 3
    stated = float(text.split("(raw: ")[1].split()[0]) * 1e3
    assert stated == pytest.approx(raw, rel=0.01)
