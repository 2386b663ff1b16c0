"""The clips stage from outside: what it says, writes, keeps and refuses."""

from __future__ import annotations

import json
import shutil
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from engine.errors import UserError
from stages.video import index

KINDS = ["none", "raw", "jpeg"]


def test_rows_and_metrics(root, make_clips_of):
    result = make_clips_of(root)
    clips = result.clips
    assert clips.paths == ["run/a1.mp4", "run/t1.mp4", "walk/a2.mp4", "walk/t2.mp4"]
    assert clips.classes == ("run", "walk") and clips.labels == ["run", "run", "walk", "walk"]
    assert clips.targets.tolist() == [0, 0, 1, 1] and clips.frames.tolist() == [8, 9, 10, 11]
    assert clips.split("train").tolist() == [0, 2] and clips.split("test").tolist() == [1, 3]
    assert clips.split("val").tolist() == []
    assert result.metrics == {
        "videos": 4, "broken": 0, "partial": 0, "frames": 38, "hours": round(3.8 / 3600, 6), "classes": 2,
        "store_bytes": 38 * 48 * 32 * 3,
    }  # fmt: skip
    assert result.problems == {}


@pytest.mark.parametrize("kind", KINDS)
def test_frames(kind, root, make_clips_of):
    """Packed or not: scaled, upright, exact in their numbers."""
    clips = make_clips_of(root, pack={"kind": kind, "short_side": 16}).clips
    whole = make_clips_of(root, out="whole", pack={"kind": "none", "short_side": 16}).clips
    for row in range(4):
        numbers = np.array([5, 0, 7, 7])
        got = clips.read(row, numbers)
        assert got.shape == (4, 16, 24, 3) and got.dtype == np.uint8
        assert clips.sizes[row].tolist() == [24, 16]
        apart = np.abs(got.astype(int) - whole.read(row, numbers)).mean()
        assert apart < 20 if kind == "jpeg" else apart == 0  # noise is hard on JPEG


@pytest.mark.parametrize("kind", KINDS)
def test_frames_are_never_enlarged(kind, root, make_clips_of):
    assert make_clips_of(root, pack={"kind": kind}).clips.read(0, np.array([0])).shape == (1, 32, 48, 3)


@pytest.mark.parametrize("kind", KINDS)
def test_reading_what_is_not_there(kind, root, make_clips_of):
    clips = make_clips_of(root, pack={"kind": kind}).clips
    assert clips.read(0, np.array([], np.int64)).shape == (0, 32, 48, 3)
    for numbers in ([8], [-1]):
        with pytest.raises(IndexError, match="run/a1.mp4 has 8 frames"):
            clips.read(0, np.array(numbers))


def test_videos_that_have_gone(root, make_clips_of):
    clips = make_clips_of(root, pack={"kind": "none"}).clips
    (root / "run/a1.mp4").unlink()
    with pytest.raises(UserError, match=r"run/a1.mp4: cannot be read: No such file"):
        clips.read(0, np.array([0]))


def test_packed_frames_need_no_videos(root, make_clips_of):
    result = make_clips_of(root, pack={"kind": "raw"})
    shutil.rmtree(root)
    assert result.clips.read(3, np.array([10])).shape == (1, 32, 48, 3)


def test_a_store_that_was_cleared(root, make_clips_of, tmp_path):
    result = make_clips_of(root, pack={"kind": "raw"})
    shutil.rmtree(tmp_path / "store")
    with pytest.raises(UserError, match=r"4 of 4 videos are not in .*raw-144-v1 .*VIDSPEC_STORE"):
        result.clips.read(0, np.array([0]))


@pytest.mark.parametrize("kind", KINDS)
def test_outputs_do_not_depend_on_workers_nor_on_the_store(kind, root, make_clips_of):
    """In this process or in two others, into an empty store or a filled one: equal bytes, picture included."""
    first = make_clips_of(root, pack={"kind": kind})
    again = make_clips_of(root, out="again", pack={"kind": kind})
    others = make_clips_of(root, out="others", store="other", workers=2, pack={"kind": kind})
    assert first.files == again.files == others.files
    assert first.metrics == again.metrics == others.metrics
    assert sorted(first.files) == [
        "classes.json", "clips.json", "clips.parquet", "pictures/contact_sheet.png", "problems.csv",
    ]  # fmt: skip
    assert not any(str(root.parent).encode() in content for content in first.files.values())


def test_only_new_videos_are_decoded(root, make_clips_of, write_video, monkeypatch, tmp_path):
    make_clips_of(root, pack={"kind": "raw"})
    shards = tmp_path / "store/frames/raw-144-v1"
    before = {p: p.stat().st_mtime_ns for p in shards.iterdir()}
    write_video(root / "run/a9.mp4", frames=5, seed=9)
    decoded, real = [], index._decode_all
    monkeypatch.setattr(
        index, "_decode_all", lambda path, *rest: (decoded.append(path.name), real(path, *rest))
    )
    result = make_clips_of(root, out="more", pack={"kind": "raw"})
    assert decoded == ["a9.mp4"]
    assert result.metrics["videos"] == 5
    new = [p for p in shards.iterdir() if p not in before]
    assert sorted(p.suffix for p in new) == [".bin", ".parquet"]
    assert next(p for p in new if p.suffix == ".bin").stat().st_size == 5 * 48 * 32 * 3
    assert {p: p.stat().st_mtime_ns for p in before} == before


def test_a_video_that_moved_is_not_decoded_again(root, make_clips_of, monkeypatch):
    make_clips_of(root)
    (root / "run/a1.mp4").rename(root / "walk/a7.mp4")
    monkeypatch.setattr(index, "_decode_all", None)
    clips = make_clips_of(root, out="moved").clips
    assert clips.paths == ["run/t1.mp4", "walk/a2.mp4", "walk/a7.mp4", "walk/t2.mp4"]
    assert clips.frames.tolist() == [9, 10, 8, 11]


def test_twins_are_packed_once(root, make_clips_of, tmp_path):
    shutil.copy(root / "run/a1.mp4", root / "walk/a5.mp4")
    result = make_clips_of(root, pack={"kind": "raw"})
    assert result.metrics["videos"] == 5
    packed = sum(p.stat().st_size for p in (tmp_path / "store/frames/raw-144-v1").glob("*.bin"))
    assert packed == result.metrics["store_bytes"] == 38 * 48 * 32 * 3
    assert np.array_equal(result.clips.read(0, np.arange(8)), result.clips.read(3, np.arange(8)))


def test_another_packing_keeps_what_was_found(root, make_clips_of, tmp_path):
    make_clips_of(root, pack={"kind": "none"})
    before = {p: p.read_bytes() for p in (tmp_path / "store/checks").rglob("*.parquet")}
    result = make_clips_of(root, out="raw", pack={"kind": "raw"})
    assert all(path.read_bytes() == content for path, content in before.items())
    assert result.clips.read(3, np.array([10])).shape == (1, 32, 48, 3)


@pytest.mark.parametrize("limit_mb, key", [(1, "raw-144-v1"), (0.1, "jpeg-144-q92-v1")])
def test_auto_packs_raw_below_the_limit(limit_mb, key, root, make_clips_of):
    """The four videos have 175,104 bytes of raw frames."""
    result = make_clips_of(root, pack={"kind": "auto", "limit_gb": limit_mb / 1000})
    assert json.loads((result.out / "clips.json").read_text())["packing"] == key
    assert any(
        m.startswith(f"info: frames packed as {key}: about ") and "store" in m for m in result.messages
    )


def test_no_room(root, make_clips_of, monkeypatch):
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=1000))
    with pytest.raises(UserError, match=r"need about 175 kB, but .* has 1 kB free"):
        make_clips_of(root, pack={"kind": "raw"})
    make_clips_of(root, out="none", pack={"kind": "none"})


def test_broken_videos_are_left_out_and_listed(root, make_clips_of):
    (root / "run/a3.mp4").write_bytes(b"")
    (root / "run/a4.mp4").write_text("no video")
    whole = (root / "walk/a2.mp4").read_bytes()
    (root / "walk/a6.mp4").write_bytes(whole[: len(whole) // 2])
    result = make_clips_of(root, broken_limit=0.5)
    assert result.metrics["broken"] == 3 and result.metrics["videos"] == 4
    assert sorted(result.problems) == ["run/a3.mp4", "run/a4.mp4", "walk/a6.mp4"]
    assert "empty" in result.problems["run/a3.mp4"] and "moov" in result.problems["walk/a6.mp4"]
    assert any("3 of 7 videos are unreadable" in m for m in result.messages)


def test_too_many_broken_videos(root, make_clips_of):
    (root / "run/a3.mp4").write_bytes(b"")
    with pytest.raises(UserError) as caught:
        make_clips_of(root)
    assert "1 of 5 videos are unreadable, more than broken_limit allows (5%)" in str(caught.value)
    assert "run/a3.mp4: the file is empty" in str(caught.value)


def test_no_readable_video_at_all(tmp_path, make_clips_of):
    (tmp_path / "bad/run").mkdir(parents=True)
    (tmp_path / "bad/run/a.mp4").write_text("no video")
    with pytest.raises(UserError, match="1 of 1 videos"):
        make_clips_of(tmp_path / "bad", broken_limit=1.0)


def test_a_class_that_has_only_broken_videos(root, make_clips_of):
    (root / "jump").mkdir()
    (root / "jump/a.mp4").write_text("no video")
    result = make_clips_of(root, broken_limit=0.5)
    assert result.clips.classes == ("jump", "run", "walk")
    assert any("class 'jump' has no readable video" in m for m in result.messages)


def test_a_video_that_changes_after_the_listing(root, make_clips_of):
    make_clips_of(root, pack={"kind": "none"})
    (root / "run/a1.mp4").write_bytes((root / "run/a1.mp4").read_bytes() + b"x")
    result = make_clips_of(
        root, out="late", store="fresh", pack={"kind": "none"}, relist=False, broken_limit=0.5
    )
    assert result.problems == {"run/a1.mp4": "has changed since it was listed; run again"}
    after = make_clips_of(root, out="after", store="fresh", pack={"kind": "none"})
    assert after.metrics["videos"] == 4  # that verdict was not kept


def test_the_contact_sheet(root, make_clips_of):
    result = make_clips_of(root)
    with Image.open(result.out / "pictures/contact_sheet.png") as sheet:
        assert sheet.size == (8 + 8 * (144 + 2), 4 + 4 * (96 + 18 + 6))


def test_groups_are_numbers(root, make_clips_of, write_video):
    write_video(root / "walk/a1.mp4", seed=7)  # the group is the beginning of the name
    clips = make_clips_of(root).clips
    groups = dict(zip(clips.paths, clips.groups.tolist()))
    assert groups["run/a1.mp4"] == groups["walk/a1.mp4"]
    assert len(set(groups.values())) == 4


def test_where_times_matter_damaged_videos_are_left_out(root, make_clips_of, write_video):
    """The frames before the damage are not all that annotated times are about."""
    whole = write_video(root / "run" / "a3.mkv", frames=40).read_bytes()
    (root / "run" / "a3.mkv").write_bytes(whole[: len(whole) // 2])
    used = make_clips_of(root, out="used")
    assert "run/a3.mkv" in used.clips.paths and used.metrics["partial"] == 1
    result = make_clips_of(root, timed=True)
    assert "run/a3.mkv" not in result.clips.paths and len(result.clips) == 4
    assert "frames decode" in result.problems["run/a3.mkv"]
    assert any("1 videos are damaged and left out" in message for message in result.messages)


def test_frames_that_come_irregularly_are_reported(root, make_clips_of, write_video):
    """Ten frames in a second, then one each second: at an even pace over 11 s frame 10 would stand at 5.5 s, not at 1."""
    write_video(root / "run" / "a3.mp4", frames=21, times=[*range(10), *range(10, 120, 10)])
    assert make_clips_of(root, out="quiet").problems == {}
    result = make_clips_of(root, timed=True)
    assert result.problems == {"run/a3.mp4": "frames are up to 4.5 s from where an even pace has them"}
    assert any("in 1 videos frames come irregularly, up to 4.5 s" in message for message in result.messages)
    assert len(result.clips) == 5
