"""What is wrong with a data set, one kind of trouble after the other, and what each policy does about it."""

from __future__ import annotations

import shutil
from typing import get_args

import pytest

from engine.errors import UserError
from stages.annotations.spec import Policy

TRAIN = {"training": "train"}


def test_a_clean_set_has_no_findings(film, database, listed):
    film("a.mp4", 20)
    database({"a": ("training", 2.0, [(0.0, 2.0, "x"), (0.5, 1.0, "x"), (0.0, 2.0, "y")])})
    assert listed(subsets=TRAIN).problems == []


# -- segments ------------------------------------------------------------------------------------------------

GOOD = (0.0, 1.0, "x")


@pytest.mark.parametrize(
    ("kind", "segment", "problem"),
    [
        ("zero_length", (1.5, 1.5, "x"), "[1.5, 1.5] x has no length"),
        ("reversed", (1.5, 1.25, "x"), "[1.5, 1.25] x ends before it starts"),
        ("duplicate", (0.0005, 1.0005, "x"), "[0.0005, 1.0005] x stands there twice"),
        ("outside", (1.0, 2.75, "x"), "[1, 2.75] x, but the video has 2 s"),
        ("outside", (-0.5, 0.5, "x"), "[-0.5, 0.5] x, but the video has 2 s"),
        ("unknown_label", (0.5, 1.0, "z"), "[0.5, 1] z: 'z' is no class (annotations.json: database['a'])"),
    ],
)
def test_a_bad_segment(film, database, listed, problems, root, kind, segment, problem):
    film("a.mp4", 20)
    database({"a": ("training", 2.0, [GOOD, segment])})
    (root / "classes.txt").write_text("x\ny\n")
    for todo in get_args(Policy.model_fields[kind].annotation):
        fields = {"subsets": TRAIN, "classes": "classes.txt", "policy": {kind: todo}}
        if todo == "fail":
            with pytest.raises(UserError, match=rf"policy.{kind}: skip") as error:
                listed(**fields)
            assert f"a.mp4: {kind}: {problem}" in str(error.value)
            assert problems() == [("a.mp4", f"{kind}: {problem}")]
            continue
        result = listed(**fields)
        assert result.problems == [("a.mp4", f"{kind}: {problem}")] and result.metrics[f"found_{kind}"] == 1
        start, end, label = segment
        left = {"keep": [segment], "skip": [], "cut": [(max(start, 0.0), min(end, 2.0), label)]}[todo]
        assert result.named("a.mp4") == sorted([GOOD, *left]), todo
        assert any(m.startswith(f"warning: {kind}: 1 found ({todo}") for m in result.messages)


def test_labels_outside_the_taxonomy_of_the_file(film, database, listed):
    film("a.mp4", 20)
    taxonomy = [{"nodeId": 0, "nodeName": "Root", "parentId": None}, {"nodeId": 1, "nodeName": "x", "parentId": 0}]
    database({"a": ("training", 2.0, [GOOD, (0.0, 1.0, "X")])}, taxonomy=taxonomy)
    with pytest.raises(UserError, match=r"a.mp4: unknown_label: \[0, 1\] X: 'X' is no class"):
        listed(subsets=TRAIN)
    assert listed(subsets=TRAIN, policy={"unknown_label": "skip"}).annotations.classes == ("x",)


def test_ends_within_the_tolerance_are_not_reported_but_cut_if_asked(film, database, listed):
    film("a.mp4", 20)
    database({"a": ("training", 2.0, [(1.0, 2.4, "x")])})
    kept = listed(subsets=TRAIN)
    assert kept.problems == [] and kept.named("a.mp4") == [(1.0, 2.4, "x")]
    cut = listed(subsets=TRAIN, policy={"outside": "cut"})
    assert cut.problems == [] and cut.named("a.mp4") == [(1.0, 2.0, "x")]


def test_nothing_is_left_of_a_segment_after_the_end(film, database, listed):
    film("a.mp4", 20)
    database({"a": ("training", 2.0, [GOOD, (2.0, 2.4, "x"), (7.0, 8.0, "x"), (7.0, 7.0, "y")])})
    result = listed(subsets=TRAIN, policy={"outside": "cut"})
    assert result.named("a.mp4") == [GOOD, (2.0, 2.0, "y")] and result.metrics["found_outside"] == 3


def test_all_kinds_in_one_segment_are_found(film, database, listed):
    film("a.mp4", 20)
    database({"a": ("training", 2.0, [(7.0, 7.0, "x"), (7.0, 7.0, "x")])})
    result = listed(subsets=TRAIN)
    assert {k: v for k, v in result.metrics.items() if k.startswith("found_")} == {
        "found_zero_length": 2, "found_outside": 2, "found_duplicate": 1,
    }  # fmt: skip
    assert len(result.named("a.mp4")) == 2


# -- videos --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "frames", "fields", "problem"),
    [
        ("duration", 25, {}, "annotated 2 s, but the file has 2.5 s"),
        ("duration", 15, {"duration": "container"}, "annotated 2 s, but the file has 1.5 s"),
        ("too_short", 20, {"snippet": 21}, "20 frames, but a snippet spans 21"),
    ],
)
def test_a_bad_video(film, database, listed, kind, frames, fields, problem):
    film("a.mp4", frames)
    film("b.mp4", 40)
    database({"a": ("training", 2.0, [GOOD]), "b": ("training", 4.0, [GOOD])})
    kept = listed(subsets=TRAIN, **fields)
    assert kept.problems == [("a.mp4", f"{kind}: {problem}")] and list(kept.splits) == ["a.mp4", "b.mp4"]
    assert list(listed(subsets=TRAIN, policy={kind: "skip"}, **fields).splits) == ["b.mp4"]
    with pytest.raises(UserError, match=f"a.mp4: {kind}: {problem}"):
        listed(subsets=TRAIN, policy={kind: "fail"}, **fields)


@pytest.mark.parametrize(("frames", "annotated", "tolerance"), [(21, 2.02, 0.0), (20, 2.08, 0.0), (120, 10.5, 0.2)])
def test_durations_within_the_tolerance(film, database, listed, frames, annotated, tolerance):
    """A share, but a tenth of a second at least."""
    film("a.mp4", frames)
    database({"a": ("training", annotated, [GOOD])})
    assert listed(subsets=TRAIN, duration_tolerance=tolerance).problems == []


@pytest.mark.parametrize(("file", "name"), [("v_abc.mp4", "abc"), ("abc.avi", "v_abc")])
def test_prefixes(film, database, listed, file, name):
    film(file)
    film("other.mp4")
    database({name: ("training", 2.0, [GOOD]), "other": ("training", 2.0, [GOOD])})
    kept = listed(subsets=TRAIN)
    assert kept.problems == [(name, f"prefix: its file is {file}")] and file in kept.splits
    assert list(listed(subsets=TRAIN, policy={"prefix": "skip"}).splits) == ["other.mp4"]
    with pytest.raises(UserError, match=f"{name}: prefix: its file is {file}"):
        listed(subsets=TRAIN, policy={"prefix": "fail"})


def test_the_exact_name_wins_and_case_counts(film, database, listed):
    for name in ("abc.mp4", "v_abc.mp4", "ABC.mp4", "v_abc.webm.mp4"):
        film(name)
    database({"abc": ("training", 2.0, [GOOD]), "v_abc": ("training", 2.0, [GOOD])})
    result = listed(subsets=TRAIN)
    assert list(result.splits) == ["abc.mp4", "v_abc.mp4"] and result.problems == []


def test_several_files_of_one_name(film, database, listed, root):
    film("a.mp4")
    shutil.copy(root / "a.mp4", root / "a.mkv")
    database({"a": ("training", 2.0, [GOOD])})
    result = listed(subsets=TRAIN)
    assert list(result.splits) == ["a.mkv"]
    assert result.problems == [("a", "several files: a.mkv, a.mp4; the first is taken")]


def test_missing_videos(film, database, listed, problems):
    film("a.mp4")
    film("b.mp4")
    database({name: ("training", 2.0, [GOOD]) for name in "abc"})
    result = listed(subsets=TRAIN, missing_limit=0.34)
    assert list(result.splits) == ["a.mp4", "b.mp4"]
    assert result.problems == [("c", "missing: no such video below the root (annotations.json: database['c'])")]
    with pytest.raises(UserError, match=r"c: missing: .*database\['c'\]"):
        listed(subsets=TRAIN, missing_limit=0.34, policy={"missing": "fail"})
    with pytest.raises(UserError, match=r"(?s)1 of 3 videos .* more than missing_limit \(33%\).*database\['c'\]"):
        listed(subsets=TRAIN, missing_limit=0.33)
    assert problems() == result.problems


def test_unreadable_videos(film, database, listed, root):
    film("a.mp4")
    (root / "b.mp4").write_bytes(b"no video at all, whatever its name says")
    database({name: ("training", 2.0, [GOOD]) for name in "ab"})
    result = listed(subsets=TRAIN, missing_limit=0.5)
    assert list(result.splits) == ["a.mp4"] and len(result.problems) == 1
    assert result.problems[0][0] == "b.mp4" and result.problems[0][1].startswith("unreadable: cannot be opened")
    with pytest.raises(UserError, match="1 of 2 videos are unreadable, more than missing_limit allows"):
        listed(subsets=TRAIN, missing_limit=0.4)
    with pytest.raises(UserError, match="b.mp4: unreadable: cannot be opened"):
        listed(subsets=TRAIN, missing_limit=0.5, policy={"unreadable": "fail"})


def test_one_file_under_two_names_in_two_splits(film, database, listed):
    film("v_abc.mp4")
    database({"abc": ("training", 2.0, [GOOD]), "v_abc": ("validation", 2.0, [GOOD])})
    with pytest.raises(UserError, match="v_abc.mp4 is in test, and in train .* a leak"):
        listed()


def test_equal_content_in_two_splits(film, database, listed, root):
    film("a.mp4")
    shutil.copy(root / "a.mp4", root / "b.mp4")
    database({"a": ("training", 2.0, [GOOD]), "b": ("validation", 2.0, [GOOD])})
    assert any("1 leaks between splits" in m for m in listed().messages)
    with pytest.raises(UserError, match="same content: a.mp4"):
        listed(leaks="fail")


# -- the whole -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("validation", "problem"),
    [
        (None, r"no video for test; subsets in the annotations \(videos\): 'training' \(1\), 'val' \(1\)"),
        ([], "1 videos for test, but not one annotated segment"),
    ],
)
def test_empty_subsets(film, database, listed, validation, problem):
    film("a.mp4")
    film("b.mp4")
    other = ("val", 2.0, [GOOD]) if validation is None else ("validation", 2.0, validation)
    database({"a": ("training", 2.0, [GOOD]), "b": other})
    with pytest.raises(UserError, match=f"validation: empty_subset: {problem}"):
        listed()
    result = listed(policy={"empty_subset": "skip"})
    assert result.metrics["found_empty_subset"] == 1 and result.metrics["train_videos"] == 1


def test_no_video_at_all(database, listed):
    database({"a": ("training", 2.0, [GOOD])})
    with pytest.raises(UserError, match="none of 1 annotated videos can be used"):
        listed(missing_limit=1.0, policy={"empty_subset": "skip"})


def test_all_that_fails_is_told_at_once(film, database, listed):
    film("a.mp4")
    database({"a": ("training", 2.0, [GOOD, GOOD, (1.0, 1.0, "x")])})
    with pytest.raises(UserError) as error:
        listed(subsets=TRAIN, policy={"duplicate": "fail", "zero_length": "fail"})
    assert "2 troubles" in str(error.value) and "`policy.duplicate: skip`, `policy.zero_length: skip`" in str(
        error.value
    )
