"""Which frames belong to a segment, and which stretches of which videos are trained on."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.errors import UserError
from stages.supervised.stretches import frames_within, segments, whole_videos
from stages.tal.annotations import Annotations, Instance


@pytest.mark.parametrize(
    "start, end, expected",
    [
        (0.0, 5.0, (0, 10)),  # 10 frames in 5 s: frame n is shown from n / 2 to (n + 1) / 2 s
        (1.0, 2.0, (2, 2)),
        (1.2, 2.3, (2, 3)),  # middles at 1.25, 1.75 and 2.25 s
        (1.3, 1.4, (2, 1)),  # between two middles: the frame it lies in
        (4.9, 5.0, (9, 1)),
        (-3.0, 0.6, (0, 1)),
        (4.0, 99.0, (8, 2)),
        (2.0, 2.0, (0, 0)),
        (6.0, 7.0, (0, 0)),
    ],
)
def test_frames_of_a_segment_by_hand(start, end, expected):
    assert frames_within(start, end, 5.0, 10) == expected


@given(st.floats(-2, 12), st.floats(-2, 12), st.floats(0.5, 10), st.integers(1, 500))
def test_frames_of_a_segment_against_a_loop(start, end, duration, frames):
    start, end = sorted((start, end))
    first, length = frames_within(start, end, duration, frames)
    low, high = (min(max(time / duration, 0), 1) * frames for time in (start, end))
    if low >= high:
        assert length == 0
        return
    inside = [n for n in range(frames) if low <= n + 0.5 < high]
    assert 0 <= first and first + length <= frames
    assert list(range(first, first + length)) == inside or (
        not inside and length == 1 and abs(first + 0.5 - (low + high) / 2) <= 0.5
    )


@pytest.fixture
def annotated(make_clips):
    """Three training videos of 10 frames in 5 s, the second of which shows nothing."""
    clips = make_clips([(0, "train"), (2, "train"), (1, "train"), (1, "test")], frames=10)
    clips.classes = ("jump", "spin", "background")
    happens = {
        clips.paths[0]: (Instance(0.0, 1.0, 0), Instance(2.0, 3.0, 0), Instance(7.0, 8.0, 0)),
        clips.paths[1]: (),
        clips.paths[2]: (Instance(1.0, 5.0, 1), Instance(0.5, 0.5, 0)),
        clips.paths[3]: (Instance(1.0, 2.0, 1),),
    }
    return clips, Annotations(
        ("jump", "spin"), happens, dict.fromkeys(happens, 5.0), dict.fromkeys(happens, "annotation")
    )


def test_segments_of_the_training_videos(annotated):
    clips, annotations = annotated
    found = segments(clips, clips.split("train"), annotations)
    assert found.classes == ("jump", "spin")
    rows = zip(found.row.tolist(), found.first.tolist(), found.length.tolist(), found.target.tolist(), strict=True)
    assert list(rows) == [(0, 0, 2, 0), (0, 4, 2, 0), (2, 2, 8, 1)]
    with pytest.raises(UserError, match="none of the 1 training videos has an annotated segment"):
        segments(clips, np.array([1]), annotations)


def test_whole_videos_without_those_that_have_no_class(annotated):
    clips, annotations = annotated
    found = whole_videos(clips, clips.split("train"), annotations)
    assert (found.row.tolist(), found.target.tolist(), found.classes) == ([0, 2], [0, 1], ("jump", "spin"))
    assert found.first.tolist() == [0, 0] and found.length.tolist() == [10, 10]
    with pytest.raises(UserError, match="none of the 1 training videos has an annotated segment"):
        whole_videos(clips, np.array([1]), annotations)
    trimmed = whole_videos(clips, clips.split("train"), None)
    assert (trimmed.row.tolist(), trimmed.target.tolist(), trimmed.classes) == ([0, 1, 2], [0, 2, 1], clips.classes)
