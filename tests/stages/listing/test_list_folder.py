"""One folder a class."""

from __future__ import annotations

import os

import pytest

from engine.errors import UserError


def test_split_folders(touch, listed):
    touch("train/run/a.mp4", "train/walk/deep/b.MOV", "val/run/c.avi", "test/walk/d.webm")
    result = listed(kind="folder")
    assert result.rows == {
        "train/run/a.mp4": ("run", "train", ""),
        "train/walk/deep/b.MOV": ("walk", "train", ""),
        "val/run/c.avi": ("run", "val", ""),
        "test/walk/d.webm": ("walk", "test", ""),
    }
    assert result.listing.classes == ("run", "walk")
    assert [v.path for v in result.listing.videos] == sorted(result.rows)
    assert result.metrics["train_videos"] == 2 and result.metrics["test_videos"] == 1


def test_a_share_is_held_out_in_every_class(touch, listed):
    touch(*(f"{label}/{i:02d}.mp4" for label in "ab" for i in range(20)), "c/0.mp4", "c/1.mp4", "d/0.mp4")
    rows = listed(kind="folder", test_share=0.25).rows
    test = {label: sum(r[:2] == (label, "test") for r in rows.values()) for label in "abcd"}
    assert test == {
        "a": 5,
        "b": 5,
        "c": 1,
        "d": 0,
    }  # c has two videos: one each; d has one, which is for training


def test_the_held_out_share_is_stable(touch, listed):
    touch(*(f"a/{i:02d}.mp4" for i in range(20)))
    before = listed(kind="folder").rows
    assert listed(kind="folder").rows == before
    assert listed(kind="folder", split_seed=1).rows != before
    touch("a/new.mp4")
    after = listed(kind="folder").rows
    assert sum(after[path] != before[path] for path in before) <= 1


def test_nothing_held_out(touch, listed):
    touch("a/0.mp4", "a/1.mp4")
    assert {r[1] for r in listed(kind="folder", test_share=0.0).rows.values()} == {"train"}


def test_what_is_no_video_is_reported(touch, listed, root):
    touch(
        "a/0.mp4",
        "a/1.mp4",
        "a/notes.txt",
        "stray.mp4",
        "README.md",
        "b/only.txt",
        "a/._0.mp4",
        ".cache/x/y.mp4",
    )
    (root / "c").mkdir()
    result = listed(kind="folder")
    assert sorted(result.rows) == ["a/0.mp4", "a/1.mp4"]
    assert result.listing.classes == ("a",)
    problems = dict(result.problems)
    assert sorted(problems) == ["a/notes.txt", "b", "b/only.txt", "c", "stray.mp4"]
    assert "empty class" in problems["b"] and "empty class" in problems["c"]


def test_empty_classes_are_warned_of(touch, listed, root):
    touch("a/0.mp4", "a/1.mp4")
    (root / "c").mkdir()
    assert any("c: empty class" in w for w in listed(kind="folder").warnings)


def test_a_link_to_a_parent_does_not_go_round(touch, listed, root):
    touch("a/0.mp4", "a/1.mp4")
    os.symlink(root, root / "a" / "again")
    assert sorted(listed(kind="folder").rows) == ["a/0.mp4", "a/1.mp4"]


def test_videos_may_be_links(touch, listed, root, tmp_path):
    touch("a/0.mp4")
    (tmp_path / "elsewhere.mp4").write_text("x")
    os.symlink(tmp_path / "elsewhere.mp4", root / "a" / "1.mp4")
    os.symlink(tmp_path / "nowhere.mp4", root / "a" / "2.mp4")
    result = listed(kind="folder")
    assert sorted(result.rows) == ["a/0.mp4", "a/1.mp4"]
    assert result.problems == [("a/2.mp4", "is not a regular file")]


def test_a_pipe_does_not_hang(touch, listed, root):
    touch("a/0.mp4", "a/1.mp4")
    os.mkfifo(root / "a" / "2.mp4")
    assert sorted(listed(kind="folder").rows) == ["a/0.mp4", "a/1.mp4"]


def test_a_name_that_is_not_text(touch, listed, root):
    touch("a/0.mp4", "a/1.mp4")
    (root / "a" / os.fsdecode(b"\xff.mp4")).write_text("x")
    result = listed(kind="folder")
    assert sorted(result.rows) == ["a/0.mp4", "a/1.mp4"]
    assert "UTF-8" in result.problems[0][1]


def test_no_videos_at_all(listed, root):
    with pytest.raises(UserError, match=r"no videos below .*data set"):
        listed(kind="folder")


def test_an_unreachable_root(listed, root):
    root.rmdir()
    with pytest.raises(UserError, match=r"'mine'.*is not a folder"):
        listed(kind="folder")


def test_an_empty_class_in_one_split(touch, listed):
    touch("train/run/a.mp4", "train/walk/b.mp4", "test/run/c.mp4")
    result = listed(kind="folder")
    assert ("walk", "empty class: no video in test") in result.problems
    assert any("1 of 2 classes have no video in test: walk" in w for w in result.warnings)
