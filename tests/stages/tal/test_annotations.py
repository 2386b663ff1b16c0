"""Annotations as later stages read them, and which duration counts."""

from __future__ import annotations

import math

import pytest

from stages.tal.annotations import Annotations, Instance, listing_classes, main_label
from stages.tal.durations import choose_duration

ANNOTATIONS = Annotations(
    classes=("bob", "naïve"),
    instances={
        "b/y.mp4": (Instance(0.1, 2 / 3, 1), Instance(1.0, 5.0, 0)),
        "a/x.mp4": (),
    },
    durations={"b/y.mp4": 4.0, "a/x.mp4": 0.1 + 0.2},
    duration_sources={"b/y.mp4": "annotation", "a/x.mp4": "frames"},
)


def test_what_is_written_is_read(tmp_path):
    ANNOTATIONS.write(tmp_path)
    assert Annotations.open(tmp_path) == ANNOTATIONS
    text = (tmp_path / "annotations.json").read_text(encoding="utf-8")
    assert text.index("a/x.mp4") < text.index("b/y.mp4") and "naïve" in text and text.endswith("}}\n")


def test_nothing_annotated(tmp_path):
    empty = Annotations((), {}, {}, {})
    empty.write(tmp_path)
    assert Annotations.open(tmp_path) == empty


def test_segments_number_the_videos_asked_for():
    truth = ANNOTATIONS.segments(["a/x.mp4", "b/y.mp4"])
    assert truth.video.tolist() == [1, 1] and truth.label.tolist() == [1, 0] and truth.score.tolist() == [1, 1]
    assert truth.start.tolist() == [0.1, 1.0] and truth.end.tolist() == [2 / 3, 5.0]
    assert len(ANNOTATIONS.segments(["a/x.mp4"])) == 0


def test_fractions_stay_within_the_video():
    assert ANNOTATIONS.fractions("b/y.mp4").tolist() == [[0.025, 1 / 6], [0.25, 1.0]]
    assert ANNOTATIONS.fractions("a/x.mp4").shape == (0, 2)


@pytest.mark.parametrize(
    ("rows", "label"),
    [
        ([], "background"),
        ([(0, 2, 1)], "b"),
        ([(0, 2, 0), (3, 4, 1), (5, 6.5, 1)], "b"),
        ([(0, 2, 1), (2, 4, 0)], "a"),
        ([(0, 2, 0), (8, 30, 1)], "a"),
        ([(1, 1, 1)], "b"),
    ],
)
def test_main_label(rows, label):
    """Most time inside 10 s; equal times: the first class; a segment without length is still one."""
    assert main_label([Instance(*row) for row in rows], 10.0, ("a", "b")) == label


def test_listing_classes():
    assert listing_classes(("a", "b"), {"b"}) == ("a", "b")
    assert listing_classes(("a", "b"), {"b", "background"}) == ("a", "b", "background")


@pytest.mark.parametrize(
    ("wanted", "known", "chosen"),
    [
        ("annotation", (10.0, 11.0, 240, 20.0), (10.0, "annotation")),
        ("container", (10.0, 11.0, 240, 20.0), (11.0, "container")),
        ("frames", (10.0, 11.0, 240, 20.0), (12.0, "frames")),
        ("annotation", (None, 11.0, 240, 20.0), (11.0, "container")),
        ("container", (10.0, 0.0, 240, 20.0), (10.0, "annotation")),
        ("frames", (None, 0.0, 240, 0.0), None),
        ("container", (None, math.inf, 240, 20.0), (12.0, "frames")),
    ],
)
def test_which_duration_counts(wanted, known, chosen):
    assert choose_duration(wanted, *known) == chosen
