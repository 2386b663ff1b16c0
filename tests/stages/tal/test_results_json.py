"""ActivityNet's result files: the same bits back, ``v_`` or not, and what is wrong with others' files."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.errors import UserError
from stages.tal.results_json import Skipped, id_of_name, id_of_path, read_results, write_results
from stages.tal.segments import Segments

VIDEOS = ("validation/v_wONwHYy59Tc.mp4", "validation/v_JDg--pjY5gg.mkv", "mine/kitchen.1.mp4")
CLASSES = ("Beer pong", "Rock climbing", 'Say "hé"')


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("validation/v_wONwHYy59Tc.mp4", "wONwHYy59Tc"),
        ("wONwHYy59Tc", "wONwHYy59Tc"),
        ("v_v_abcdefghi.webm", "v_abcdefghi"),
        ("v_abcdefghi", "v_abcdefghi"),  # itself a YouTube id
        ("v_ApplyEyeMakeup_g01_c01.avi", "v_ApplyEyeMakeup_g01_c01"),
        ("test/video_test_0000004.mp4", "video_test_0000004"),
        ("mine/kitchen.1.mp4", "kitchen.1"),
        ("mine/kitchen.1", "kitchen.1"),
        ("mine/v1.25", "v1.25"),
        ("mine/match.day1.mp4", "match.day1"),
        ("mine/match.day1", "match.day1"),  # a folder of pictures
        ("mine/A.MOV", "A"),
    ],
)
def test_ids_of_paths(path, expected):
    assert id_of_path(path) == expected


@pytest.mark.parametrize("name", ["match.day1", "kitchen.mp4", "v_abcdefghi", "v_ApplyEyeMakeup_g01_c01"])
def test_names_stay_as_they_are(name):
    assert id_of_name(name) == name and id_of_name("v_wONwHYy59Tc") == "wONwHYy59Tc"


def test_dots_in_names_are_no_endings(tmp_path):
    videos = ("match.day1.mp4", "match.day2.mp4")
    rows = [(0, 0.0, 1.0, 0, 0.5), (1, 2.0, 3.0, 1, 0.5)]
    write_results(tmp_path / "r.json", Segments.of(rows), videos, CLASSES)
    segments, _ = read_results(tmp_path / "r.json", videos, CLASSES)
    assert segments.video.tolist() == [0, 1] and segments.start.tolist() == [0.0, 2.0]


def test_the_official_form(tmp_path):
    rows = [(1, 0.1, 2.0, 1, 0.25), (2, 0.0, 5.5, 2, 0.5), (2, 1 / 3, 5.5, 0, 0.75)]
    write_results(tmp_path / "r.json", Segments.of(rows), VIDEOS, CLASSES, external="ImageNet weights")
    content = json.loads((tmp_path / "r.json").read_text(encoding="utf-8"))
    assert content == {
        "version": "VERSION 1.3",
        "external_data": {"used": True, "details": "ImageNet weights"},
        "results": {
            "JDg--pjY5gg": [{"label": "Rock climbing", "score": 0.25, "segment": [0.1, 2.0]}],
            "kitchen.1": [
                {"label": "Beer pong", "score": 0.75, "segment": [1 / 3, 5.5]},
                {"label": 'Say "hé"', "score": 0.5, "segment": [0.0, 5.5]},
            ],
            "wONwHYy59Tc": [],
        },
    }
    assert list(content["results"]) == sorted(content["results"])
    write_results(
        tmp_path / "again.json", Segments.of(rows[::-1]), VIDEOS, CLASSES, external="ImageNet weights"
    )
    assert (tmp_path / "again.json").read_bytes() == (tmp_path / "r.json").read_bytes()


times = st.floats(0, 1e5, allow_subnormal=True)
detection = st.tuples(st.integers(0, 2), times, times, st.integers(0, 2), st.floats(-1e30, 1e30)).map(
    lambda row: (row[0], min(row[1:3]), max(row[1:3]), row[3], row[4])
)


@given(rows=st.lists(detection, max_size=20))
def test_reading_gives_the_same_bits(tmp_path_factory, rows):
    path = tmp_path_factory.mktemp("results") / "r.json"
    write_results(path, Segments.of(rows), VIDEOS, CLASSES)
    segments, skipped = read_results(path, VIDEOS, CLASSES)
    columns = (segments.video, segments.start, segments.end, segments.label, segments.score)
    assert sorted(zip(*(column.tolist() for column in columns))) == sorted(rows)
    assert skipped == Skipped((), (), 0)


def foreign(path, results):
    path.write_text(json.dumps({"version": "1.3", "results": results, "external_data": {}}), encoding="utf-8")
    return path


def a_detection(**changes):
    return {"label": "Beer pong", "score": 1, "segment": [0, 2], **changes}


def test_files_of_others_may_have_the_prefix_or_not(tmp_path):
    for name in ("v_wONwHYy59Tc", "wONwHYy59Tc"):
        segments, _ = read_results(foreign(tmp_path / "r.json", {name: [a_detection()]}), VIDEOS, CLASSES)
        assert segments.video.tolist() == [0] and segments.end.tolist() == [2.0]


def test_unknown_videos_and_labels_fail_or_are_skipped_and_counted(tmp_path):
    results = {"wONwHYy59Tc": [a_detection(), a_detection(label="Chess")], "kitchen.2": [a_detection()]}
    path = foreign(tmp_path / "r.json", results)
    with pytest.raises(UserError, match=r"r\.json: 1 video not among the evaluated videos: kitchen\.2"):
        read_results(path, VIDEOS, CLASSES)
    with pytest.raises(UserError, match="1 label not among the classes.*Chess"):
        read_results(path, (*VIDEOS, "kitchen.2.mp4"), CLASSES)
    segments, skipped = read_results(path, VIDEOS, CLASSES, unknown="skip")
    assert len(segments) == 1 and skipped == Skipped(("kitchen.2",), ("Chess",), 2)


@pytest.mark.parametrize(
    ("results", "message"),
    [
        ({"kitchen.1": {}}, r"results\['kitchen.1'\] must be a list"),
        (
            {"kitchen.1": [a_detection(), {"label": "Beer pong"}]},
            r"\['kitchen.1'\]\[1\] must have a label, a segment",
        ),
        ({"kitchen.1": [7]}, r"must have a label.* not 7"),
        ({"kitchen.1": [a_detection(segment=[1])]}, "segment"),
        ({"kitchen.1": [a_detection(segment=[3, 1])]}, "ends before it starts"),
        ({"kitchen.1": [a_detection(score=float("nan"))]}, "finite"),
        ({"kitchen.1": [a_detection(label=3)]}, "must be a text"),
        ({"v_wONwHYy59Tc": [], "wONwHYy59Tc": []}, "same video"),
    ],
)
def test_what_is_wrong_with_a_detection(tmp_path, results, message):
    with pytest.raises(UserError, match=message):
        read_results(foreign(tmp_path / "r.json", results), VIDEOS, CLASSES)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"{", "not JSON"),
        (b"[]", "no field 'results'"),
        (b'{"a": "\xff"}', "not JSON"),
        (None, "cannot be read"),
    ],
)
def test_what_is_no_result_file(tmp_path, content, message):
    path = tmp_path / "r.json"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(UserError, match=message):
        read_results(path, VIDEOS, CLASSES)


def test_two_videos_of_one_id_are_refused(tmp_path):
    with pytest.raises(UserError, match=r"a/x\.mp4 and b/x\.mp4 have the same id"):
        write_results(tmp_path / "r.json", Segments.of([]), ("a/x.mp4", "b/x.mp4"), CLASSES)


def test_class_agnostic_proposals_are_no_results(tmp_path):
    with pytest.raises(ValueError, match="without a class"):
        write_results(tmp_path / "r.json", Segments.of([(0, 0, 1, -1, 1)]), VIDEOS, CLASSES)
    assert not (tmp_path / "r.json").exists()


def test_scores_may_be_of_numpys_types(tmp_path):
    segments = Segments(
        np.array([0], np.int32), np.float32([0]), np.float32([1]), np.array([0]), np.float32([0.1])
    )
    write_results(tmp_path / "r.json", segments, VIDEOS, CLASSES)
    assert read_results(tmp_path / "r.json", VIDEOS, CLASSES)[0].score[0] == np.float32(0.1)
