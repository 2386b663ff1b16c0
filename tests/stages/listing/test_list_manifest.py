"""A csv file of one's own."""

from __future__ import annotations

import pytest

from engine.errors import UserError


def test_all_columns(touch, listed):
    touch("x/a.mp4", "b c.mp4")
    touch(
        "manifest.csv",
        content='\ufeffsplit,path,label,group,remark\r\ntrain,x/a.mp4,"run, fast",cam1,good\r\ntest,./b c.mp4,walk,cam2,\r\n',
    )
    result = listed(kind="manifest")
    assert result.rows == {"x/a.mp4": ("run, fast", "train", "cam1"), "b c.mp4": ("walk", "test", "cam2")}
    assert result.listing.classes == ("run, fast", "walk")


def test_without_groups_and_with_classes(touch, listed):
    touch("a.mp4")
    touch("lists/m.csv", content="path,label,split\na.mp4,run,val\n")
    touch("lists/classes.txt", content="walk\nrun\n")
    result = listed(kind="manifest", file="lists/m.csv", classes="lists/classes.txt")
    assert result.rows == {"a.mp4": ("run", "val", "")}
    assert result.listing.classes == ("walk", "run")


def test_mistakes(touch, listed):
    touch("a.mp4", "names.txt")
    touch("names.txt", content="run\n")
    touch("manifest.csv", content="path,label,split\na.mp4,run,training\na.mp4,,train\na.mp4,jump,train\n")
    with pytest.raises(UserError) as caught:
        listed(kind="manifest", classes="names.txt")
    text = str(caught.value)
    assert "manifest.csv:2: split is 'training'; allowed are train, val, test" in text
    assert "manifest.csv:3: path or label is missing" in text
    assert "manifest.csv:4: label 'jump' is not in" in text


def test_a_missing_column(touch, listed):
    touch("manifest.csv", content="path,label\na.mp4,run\n")
    with pytest.raises(UserError, match="no column split"):
        listed(kind="manifest")


def test_a_file_that_is_not_utf8(listed, root):
    (root / "manifest.csv").write_bytes("path,label,split\nä.mp4,run,train\n".encode("latin-1"))
    with pytest.raises(UserError, match="not UTF-8"):
        listed(kind="manifest")


def test_a_path_cannot_leave_the_root(touch, listed, tmp_path):
    (tmp_path / "outside.mp4").write_text("x")
    touch("a.mp4")
    touch("manifest.csv", content="path,label,split\n../outside.mp4,run,train\na.mp4,run,train\n")
    result = listed(kind="manifest", missing_limit=0.5)
    assert list(result.rows) == ["a.mp4"]
