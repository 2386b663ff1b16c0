"""Packed frames: what is written comes back, what is not finished cannot be seen."""

from __future__ import annotations

import os
import pickle
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest

from stages.video.shards import Packing, ShardReader, ShardWriter, places

RAW = Packing("raw", 144)
JPEG = Packing("jpeg", 144, 92)


def pack(store, packing, **videos):
    writer = ShardWriter(packing.folder(store), packing)
    for digest, frames in videos.items():
        for frame in frames:
            writer.add(frame)
        writer.finish(digest)
    writer.publish()


@pytest.fixture
def videos(noise):
    return {"aa": noise(5), "bb": noise(9, 20, 40, seed=1), "cc": noise(1, seed=2)}


def test_raw_frames_come_back(tmp_path, videos):
    pack(tmp_path, RAW, **videos)
    reader = ShardReader(places(tmp_path, RAW, videos))
    for digest, frames in videos.items():
        for numbers in (
            np.arange(len(frames)),
            np.array([len(frames) - 1, 0, 0]),
            np.arange(0, len(frames), 3),
        ):
            got = reader.read(digest, numbers)
            assert np.array_equal(got, frames[numbers]) and got.flags.writeable and got.flags.c_contiguous


def test_jpeg_frames_come_back_nearly(tmp_path, videos):
    pack(tmp_path, JPEG, **videos)
    reader = ShardReader(places(tmp_path, JPEG, videos))
    for digest, frames in videos.items():
        got = reader.read(digest, np.arange(len(frames))[::-1])
        assert got.shape == frames.shape and got.dtype == np.uint8
        assert np.abs(got.astype(int) - frames[::-1]).mean() < 12  # noise, with half the resolution in colour
    sizes = [place.bytes for place in places(tmp_path, JPEG, videos).values()]
    assert sum(sizes) == sum(p.stat().st_size for p in JPEG.folder(tmp_path).glob("*.bin"))


@dataclass(frozen=True)
class Planes:
    """Pictures of two channels, as flow has them."""

    kind: str
    quality: int = 0
    channels: ClassVar[int] = 2

    def folder(self, store: Path) -> Path:
        return store / f"planes-{self.kind}"


@pytest.mark.parametrize("shelf", [Planes("raw"), Planes("jpeg", 95)])
def test_two_channels_share_nothing(shelf, tmp_path, noise):
    """One plane is the same whatever the other one is: as the colours of one JPEG they would run into each other."""
    first, second = noise(4)[..., :2], noise(4, seed=1)[..., :2]
    second[..., 0] = first[..., 0]
    pack(tmp_path, shelf, aa=first, bb=second)
    found = places(tmp_path, shelf, ["aa", "bb"])
    reader = ShardReader(found)
    one, other = (reader.read(digest, np.array([3, 0, 3])) for digest in ("aa", "bb"))
    assert one.shape == (3, *first.shape[1:]) and np.array_equal(one[..., 0], other[..., 0])
    assert np.abs(one.astype(int) - first[[3, 0, 3]]).max() <= (0 if shelf.kind == "raw" else 12)
    assert sum(place.bytes for place in found.values()) == sum(p.stat().st_size for p in shelf.folder(tmp_path).glob("*.bin"))


def test_what_is_written_is_told_and_notes_are_kept(tmp_path, noise):
    writer = ShardWriter(JPEG.folder(tmp_path), JPEG)
    data = writer.add(noise(1)[0])
    writer.finish("aa", note='{"sum": 3}')
    writer.publish()
    place = places(tmp_path, JPEG, ["aa"])["aa"]
    assert place.file.read_bytes() == data and place.note == '{"sum": 3}'


def test_other_packings_are_elsewhere(tmp_path, videos):
    pack(tmp_path, RAW, **videos)
    assert places(tmp_path, JPEG, videos) == {}
    assert places(tmp_path, Packing("raw", 128), videos) == {}


def test_only_what_is_asked_for(tmp_path, videos):
    pack(tmp_path, RAW, aa=videos["aa"])
    pack(tmp_path, RAW, bb=videos["bb"], cc=videos["cc"])
    found = places(tmp_path, RAW, ["cc", "zz"])
    assert list(found) == ["cc"]
    assert np.array_equal(ShardReader(found).read("cc", np.array([0])), videos["cc"])


def test_a_discarded_video_leaves_nothing(tmp_path, videos):
    writer = ShardWriter(RAW.folder(tmp_path), RAW)
    writer.add(videos["aa"][0])
    writer.discard()
    for frame in videos["bb"]:
        writer.add(frame)
    writer.finish("bb")
    writer.publish()
    found = places(tmp_path, RAW, videos)
    assert list(found) == ["bb"]
    assert found["bb"].file.stat().st_size == videos["bb"].nbytes
    assert np.array_equal(ShardReader(found).read("bb", np.arange(9)), videos["bb"])


@pytest.mark.parametrize("step", ["nothing finished", "not published", "killed between the renames"])
def test_a_killed_writer_shows_nothing(step, tmp_path, videos, monkeypatch):
    pack(tmp_path, RAW, aa=videos["aa"])
    writer = ShardWriter(RAW.folder(tmp_path), RAW)
    writer.add(videos["bb"][0])
    if step != "nothing finished":
        writer.finish("bb")
    if step == "killed between the renames":
        real = os.replace

        def replace(source, target):
            if str(target).endswith(".parquet"):
                raise KeyboardInterrupt
            real(source, target)

        monkeypatch.setattr(os, "replace", replace)
        with pytest.raises(KeyboardInterrupt):
            writer.publish()
    assert list(places(tmp_path, RAW, videos)) == ["aa"]


def test_an_empty_shard_leaves_no_files(tmp_path):
    ShardWriter(RAW.folder(tmp_path), RAW).publish()
    assert list(RAW.folder(tmp_path).iterdir()) == []


def test_two_writers_at_once(tmp_path, videos):
    """Two runs pack the same video: both shards are whole, and either will do."""
    writers = [ShardWriter(RAW.folder(tmp_path), RAW) for _ in range(2)]
    for frame in videos["aa"]:
        for writer in writers:
            writer.add(frame)
    for writer in writers:
        writer.finish("aa")
        writer.publish()
    assert len(list(RAW.folder(tmp_path).glob("*.bin"))) == 2
    assert np.array_equal(ShardReader(places(tmp_path, RAW, ["aa"])).read("aa", np.arange(5)), videos["aa"])


def test_a_reader_may_be_sent_to_workers(tmp_path, videos):
    pack(tmp_path, RAW, **videos)
    reader = ShardReader(places(tmp_path, RAW, videos))
    reader.read("aa", np.array([0]))
    copy = pickle.loads(pickle.dumps(reader))
    assert np.array_equal(copy.read("bb", np.array([3])), videos["bb"][[3]])


@pytest.mark.parametrize("packing", [RAW, JPEG])
@pytest.mark.parametrize("numbers", [[5], [-1], [0, 5]])
def test_frames_that_are_not_there(packing, numbers, tmp_path, videos):
    pack(tmp_path, packing, **videos)
    with pytest.raises(IndexError):
        ShardReader(places(tmp_path, packing, videos)).read("aa", np.array(numbers))


@pytest.mark.parametrize("packing", [RAW, JPEG, Packing("jpeg", 64, 100)])
def test_keys_say_it_all(packing):
    assert Packing.from_key(packing.key) == packing
    assert packing.key in ("raw-144-v1", "jpeg-144-q92-v1", "jpeg-64-q100-v1")
