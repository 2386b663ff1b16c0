"""Features of snippets of real files: equal to a plain loop, computed once, and the same however the work was cut."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
import torch

from engine.errors import UserError
from stages.nn.weights import load_encoder
from stages.snippets import encode, stage
from stages.snippets.index import SnippetIndex
from stages.snippets.spec import Config, Snippets
from stages.snippets.store import unused
from stages.tal.annotations import Annotations
from stages.tal.geometry import Grid
from stages.video.clips import Clips
from stages.video.spec import Rgb
from stages.video.transforms import evaluation_clip, normalise

SNIPPETS = Snippets(count=5, frames=4, stride=3, size=16)


def run(videos, name="features", seeds=(0, 3), snippets=SNIPPETS, workers=0) -> dict:
    config = Config(seeds=seeds, snippets=snippets, precision="fp32")
    return stage.run(
        config, videos.context(name, workers, models=tuple(videos.encoder(seed) for seed in seeds))
    )


def features(videos, name="features", seed=0) -> np.ndarray:
    index = SnippetIndex.open(videos.root / name)
    reader = index.reader(seed, videos.store)
    return np.stack([reader.read(row) for row in range(len(index.videos))])


@pytest.fixture(autouse=True)
def small_parts(monkeypatch):
    monkeypatch.setattr(encode, "AT_ONCE", 2)
    monkeypatch.setattr(stage, "VIDEOS", 3)


def test_features_are_those_of_a_plain_loop(videos):
    assert run(videos) == {"videos": 6, "snippets": 30, "width": 32}
    clips = Clips.open(videos.clips, videos.context("x"))
    for seed in (0, 3):
        encoder, _ = load_encoder(videos.encoder(seed))
        found = features(videos, seed=seed)
        assert found.shape == (6, 5, 32) and found.dtype == np.float32
        for row in range(6):
            for snippet, numbers in enumerate(Grid(int(clips.frames[row]), 1.0, 5, 4, 3).frame_numbers()):
                pixels = evaluation_clip(clips.read(row, numbers), 16)[None]
                with torch.no_grad():
                    expected = encoder(normalise(pixels, Rgb()))[0].numpy()
                assert found[row, snippet] == pytest.approx(expected, rel=1e-4, abs=1e-5)


def test_the_index_knows_the_geometry_and_the_encoder(videos):
    run(videos)
    index, clips = SnippetIndex.open(videos.root / "features"), Clips.open(videos.clips, videos.context("x"))
    annotations = Annotations.open(videos.annotations)
    for row, video in enumerate(index.videos):
        assert (video.path, video.split, video.label) == (
            clips.paths[row],
            clips.splits[row],
            clips.labels[row],
        )
        assert (video.frames, video.fps) == (clips.frames[row], 16)
        assert (video.duration, video.duration_from) == (annotations.durations[video.path], "annotation")
        assert video.duration == pytest.approx(video.frames / 16)
    assert index.rows("test").tolist() == [0, 1] and index.rows("train").tolist() == [2, 3, 4, 5]
    origin = index.origin
    assert (origin.snippets, origin.width, origin.frames, origin.stride, origin.size, origin.short_side) == (
        5,
        32,
        4,
        3,
        16,
        32,
    )
    assert origin.shelves["0"].weights != origin.shelves["3"].weights
    again = json.loads((videos.root / "features" / "snippets.json").read_text())
    assert again["shelves"]["0"]["weights"] == encode.weights_digest(load_encoder(videos.encoder(0))[0])


def test_loader_processes_and_the_size_of_files_change_no_bit(videos, monkeypatch):
    run(videos, "a")
    expected = features(videos, "a")
    monkeypatch.setattr(stage, "VIDEOS", 1)
    other = replace(videos, store=videos.root / "other")
    run(other, "b", workers=2)
    assert len(list(other.store.rglob("*.safetensors"))) == 12
    assert np.array_equal(features(other, "b"), expected)
    for file in ("snippets.parquet", "snippets.json"):
        assert (videos.root / "a" / file).read_bytes() == (videos.root / "b" / file).read_bytes()


def encoded_videos(monkeypatch) -> list[int]:
    """Rows of the videos that are encoded from now on."""
    seen: list[int] = []
    original = stage.encoded

    def watched(*arguments):
        for row, values in original(*arguments):
            seen.append(row)
            yield row, values

    monkeypatch.setattr(stage, "encoded", watched)
    return seen


def test_what_is_there_is_not_computed_again(videos, monkeypatch):
    run(videos, seeds=(0,))
    expected = features(videos)
    seen = encoded_videos(monkeypatch)
    run(videos, "again", seeds=(0,))
    assert seen == [] and np.array_equal(features(videos, "again"), expected)
    run(videos, "more", seeds=(0, 3))  # another encoder
    assert seen == list(range(6)) and np.array_equal(features(videos, "more"), expected)
    run(videos, "other", seeds=(0,), snippets=SNIPPETS.model_copy(update={"stride": 1}))
    assert len(seen) == 12 and not np.array_equal(features(videos, "other"), expected)


def test_a_killed_run_goes_on_after_its_last_whole_file(videos, monkeypatch):
    run(videos, "plain")
    expected = features(videos, "plain")
    for path in videos.store.glob("snippets/*/*"):
        path.unlink()
    original, written = stage.write_shard, []

    def dies(folder, values):
        if len(written) == 2:  # the first file of both encoders is written
            raise KeyboardInterrupt
        written.append(len(values))
        original(folder, values)

    monkeypatch.setattr(stage, "write_shard", dies)
    with pytest.raises(KeyboardInterrupt):
        run(videos, "dead")
    assert written == [3, 3]
    monkeypatch.setattr(stage, "write_shard", original)
    seen = encoded_videos(monkeypatch)
    run(videos, "again")
    assert seen == [3, 4, 5] and np.array_equal(features(videos, "again"), expected)


def test_features_that_are_not_finite_are_refused(videos, monkeypatch):
    monkeypatch.setattr(stage, "encoded", lambda *_: iter([(0, np.full((2, 5, 32), np.nan, np.float32))]))
    with pytest.raises(UserError, match="NaN or infinite"):
        run(videos)


def test_enlarged_pictures_are_remarked_upon(videos, capsys):
    run(videos, snippets=SNIPPETS.model_copy(update={"size": 48}))
    assert "short side of 32 pixels and enlarged to 48" in capsys.readouterr().err


def test_what_of_the_store_can_go(videos):
    run(videos, "a", seeds=(0, 3))
    run(videos, "b", seeds=(0,))
    a, b = videos.root / "a", videos.root / "b"
    assert unused(videos.store, [a], 0) == [] == unused(videos.store, [], 3600)
    gone = unused(videos.store, [b, videos.clips], -1)
    assert [path.parent.name for path, _ in gone] == [SnippetIndex.open(a).origin.shelves["3"].key] * 2
    assert all(size == path.stat().st_size > 0 for path, size in gone)
