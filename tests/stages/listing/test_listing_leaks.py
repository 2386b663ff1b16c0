"""Videos and sources that reach from training into test."""

from __future__ import annotations

import pytest

from engine.errors import UserError


def manifest(touch, *lines):
    touch("manifest.csv", content="path,label,split,group\n" + "".join(f"{line}\n" for line in lines))


def test_one_path_in_two_splits_is_always_an_error(touch, listed):
    touch("a.mp4", "b.mp4")
    manifest(touch, "a.mp4,run,train,", "b.mp4,run,test,", "a.mp4,run,test,")
    with pytest.raises(
        UserError, match=r"manifest.csv:4: a.mp4 is in test, and in train \(.*manifest.csv:2\): a leak"
    ):
        listed(kind="manifest", leaks="report")


def test_one_path_with_two_labels(touch, listed):
    touch("a.mp4")
    manifest(touch, "a.mp4,run,train,", "a.mp4,walk,train,")
    with pytest.raises(UserError, match="has label 'walk', and 'run'"):
        listed(kind="manifest")


def test_one_path_named_twice_counts_once(touch, listed):
    touch("a.mp4")
    manifest(touch, "a.mp4,run,train,", "./a.mp4,run,train,")
    result = listed(kind="manifest")
    assert list(result.rows) == ["a.mp4"]
    assert "named twice" in result.problems[0][1]


def test_equal_content_in_two_splits(touch, listed):
    touch("a.mp4", "copy.mp4", content="the same")
    touch("b.mp4")
    manifest(touch, "a.mp4,run,train,", "b.mp4,run,train,", "copy.mp4,run,test,")
    with pytest.raises(
        UserError, match=r"1 leaks .*`leaks: report`[\s\S]*a.mp4 \(train\), copy.mp4 \(test\)"
    ):
        listed(kind="manifest")
    result = listed(kind="manifest", leaks="report")
    assert len(result.rows) == 3
    assert [path for path, _ in result.problems] == ["a.mp4", "copy.mp4"]
    assert any("1 leaks" in w for w in result.warnings)


def test_equal_content_in_one_split_is_only_listed(touch, listed):
    touch("a.mp4", "copy.mp4", content="the same")
    manifest(touch, "a.mp4,run,train,", "copy.mp4,run,train,")
    result = listed(kind="manifest")
    assert len(result.rows) == 2 and len(result.problems) == 2


def test_one_source_in_two_splits(touch, listed):
    touch("a.mp4", "b.mp4", "c.mp4", "d.mp4")
    manifest(touch, "a.mp4,run,train,cam1", "b.mp4,run,test,cam1", "c.mp4,run,train,", "d.mp4,run,test,")
    with pytest.raises(UserError, match=r"same source 'cam1': b.mp4 \(test\), a.mp4 \(train\)"):
        listed(kind="manifest")
    result = listed(kind="manifest", leaks="report")
    assert [path for path, _ in result.problems] == ["a.mp4", "b.mp4"]  # an unknown source is no source


def test_content_is_told_apart_at_both_ends_and_in_the_middle(root, listed, touch):
    base = bytes(400_000)
    for name, at in (("a", None), ("b", 10), ("c", 200_000), ("d", 399_999)):
        content = bytearray(base)
        if at is not None:
            content[at] = 1
        (root / f"{name}.mp4").write_bytes(content)
    manifest(touch, "a.mp4,run,train,", "b.mp4,run,train,", "c.mp4,run,train,", "d.mp4,run,train,")
    assert len({v.digest for v in listed(kind="manifest").listing.videos}) == 4


def test_equal_data_give_equal_bytes(touch, listed):
    touch("a.mp4", "b.mp4")
    manifest(touch, "b.mp4,run,train,", "a.mp4,run,test,")
    first = {p.name: p.read_bytes() for p in listed(kind="manifest").out.iterdir()}
    manifest(touch, "a.mp4,run,test,", "b.mp4,run,train,")
    assert {p.name: p.read_bytes() for p in listed(kind="manifest").out.iterdir()} == first
    assert sorted(first) == ["classes.json", "listing.parquet", "problems.csv"]
