"""Kinetics' csv files, and lists of paths."""

from __future__ import annotations

import pytest

from engine.errors import UserError

HEADER = "label,youtube_id,time_start,time_end,split,is_cc\n"


def test_the_official_csv(touch, listed):
    touch(
        "air drumming/-abc_DEF_12_000010_000020.mp4",  # an id that begins with "-" and contains "_"
        "massaging person's head/x_Y-z5678901_000000_000010.mp4",
        "air drumming/-ABC_def_12_000010_000020.mp4",  # ids are told apart by case
        "hurling (sport)/hurl0000000_001200_001210.mp4",
    )
    touch(
        "train.csv",
        content=HEADER
        + '"air drumming",-abc_DEF_12,10,20,train,0\nhurling (sport),hurl0000000,1200,1210,train,1\n',
    )
    touch(
        "val.csv",
        content=HEADER
        + '"air drumming",-ABC_def_12,10,20,val,0\n"massaging person\'s head",x_Y-z5678901,0,10,val,0\n',
    )
    result = listed(kind="kinetics")
    assert result.rows == {
        "air drumming/-abc_DEF_12_000010_000020.mp4": ("air drumming", "train", ""),
        "air drumming/-ABC_def_12_000010_000020.mp4": ("air drumming", "test", ""),
        "massaging person's head/x_Y-z5678901_000000_000010.mp4": ("massaging person's head", "test", ""),
        "hurling (sport)/hurl0000000_001200_001210.mp4": ("hurling (sport)", "train", ""),
    }
    assert result.listing.classes == ("air drumming", "hurling (sport)", "massaging person's head")


@pytest.mark.parametrize("folder", ["train/air_drumming", "train", "videos/air drumming", "air drumming"])
def test_copies_in_other_folders(folder, touch, listed):
    touch(f"{folder}/abcdefghijk_000010_000020.mkv", "val/abcdefghijk_000010_000020.mp4")
    touch("train.csv", content=HEADER + '"air drumming",abcdefghijk,10,20,train,0\n')
    assert list(listed(kind="kinetics", test=None).rows) == [f"{folder}/abcdefghijk_000010_000020.mkv"]


def test_dead_links(touch, listed):
    touch("a/abcdefghijk_000010_000020.mp4")
    touch(
        "train.csv",
        content=HEADER
        + "a,abcdefghijk,10,20,train,0\n"
        + "".join(f"a,gone{i:07d},1,11,train,0\n" for i in range(2)),
    )
    with pytest.raises(UserError, match=r"2 of 3 videos .* more than missing_limit \(30%\)") as caught:
        listed(kind="kinetics", test=None)
    assert "train.csv:3: a/gone0000000_000001_000011" in str(caught.value)
    assert listed(kind="kinetics", test=None, missing_limit=0.7).metrics["absent"] == 2


@pytest.mark.parametrize(
    "content",
    [
        "videos/a,b.mp4,run\nvideos/c.mp4,run fast\n",
        "path,label\nvideos/a,b.mp4,run\nvideos/c.mp4,run fast\n",
    ],
    ids=["plain", "with a header"],
)
def test_paths_and_labels(content, touch, listed):
    touch("videos/a,b.mp4", "videos/c.mp4")
    touch("train.csv", content=content)
    assert listed(kind="kinetics", test=None).rows == {
        "videos/a,b.mp4": ("run", "train", ""),
        "videos/c.mp4": ("run fast", "train", ""),
    }


def test_paths_and_numbers(touch, listed, root):
    """The form of the SlowFast family: blanks between path and number, paths from the root or absolute."""
    touch("a b.mp4", "c.mp4", "d.mp4")
    touch("train.csv", content=f"a b.mp4 10\n{root}/c.mp4 2\n")
    touch("val.csv", content="d.mp4 2\n")
    result = listed(kind="kinetics")
    assert {p: r[0] for p, r in result.rows.items()} == {"a b.mp4": "10", "c.mp4": "2", "d.mp4": "2"}
    assert result.listing.classes == tuple(str(i) for i in range(11))  # the number is the target
    touch("names.txt", content="".join(f"class {i}\n" for i in range(11)))
    assert listed(kind="kinetics", classes="names.txt").rows["a b.mp4"][0] == "class 10"


def test_a_label_that_the_class_list_does_not_have(touch, listed):
    touch("c.mp4", "d.mp4")
    touch("names.txt", content="walk\nrun\n")
    touch("train.csv", content="c.mp4,run\nd.mp4,jump\n")
    with pytest.raises(UserError, match=r"train.csv:2: label 'jump' is not in names.txt"):
        listed(kind="kinetics", test=None, classes="names.txt")
    touch("train.csv", content="c.mp4,run\n")
    assert listed(kind="kinetics", test=None, classes="names.txt").listing.classes == ("walk", "run")


def test_lines_with_mistakes(touch, listed):
    touch("train.csv", content=HEADER + "a,abcdefghijk,ten,20,train,0\n")
    touch("val.csv", content="onlyapath.mp4\n")
    with pytest.raises(UserError) as caught:
        listed(kind="kinetics")
    assert "train.csv:2" in str(caught.value) and "val.csv:1" in str(caught.value)
