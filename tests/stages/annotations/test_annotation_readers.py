"""The forms in which annotations go round: what is read, and what is refused with its place."""

from __future__ import annotations

import json
import shutil

import pytest

from engine.errors import UserError
from stages.annotations.activitynet import read_activitynet
from stages.annotations.raw import RawSegment
from stages.annotations.thumos_text import read_texts

FRAMES_TABLE = "video,type,type_idx,start,end,startFrame,endFrame\n"
INDEX_TABLE = "video-name,t-init,t-end,f-init,f-end,video-duration,frame-rate,video-frames,label-idx\n"


@pytest.fixture
def thumos(film, root):
    """Two videos for training as a table with names, two for test as a table with numbers."""
    for name in ("video_validation_1", "video_validation_2", "video_test_4", "video_test_5"):
        film(f"{name}.mp4", 30)
    (root / "val_Annotation.csv").write_text(
        FRAMES_TABLE
        + "video_validation_2,HighJump,40,0.5,1.5,15,45\nvideo_validation_1,Diving,26,0.0,1.0,0,30\n"
        + "video_validation_2,Ambiguous,102,2.0,2.5,60,75\nvideo_validation_2,HighJump,40,2,2.75,60,82\n"
    )
    (root / "test_Annotation.csv").write_text(
        INDEX_TABLE
        + "video_test_4,0.2,0.9,6,27,3.0,30,90,11\nvideo_test_5,1.0,2.0,30,60,3.0,30,90,-1\n"
        + "video_test_4,1.2,1.9,36,57,3.0,30,90,0\n"
    )


def test_tables_of_thumos14(thumos, listed):
    result = listed(kind="thumos14")
    assert result.splits == {
        "video_test_4.mp4": "test", "video_test_5.mp4": "test",
        "video_validation_1.mp4": "train", "video_validation_2.mp4": "train",
    }  # fmt: skip
    assert result.named("video_validation_2.mp4") == [(0.5, 1.5, "HighJump"), (2.0, 2.75, "HighJump")]
    assert result.named("video_test_4.mp4") == [(0.2, 0.9, "HighJump"), (1.2, 1.9, "BaseballPitch")]
    assert result.named("video_test_5.mp4") == []
    assert len(result.annotations.classes) == 20 and result.annotations.classes[7] == "Diving"
    assert result.annotations.duration_sources == {
        "video_test_4.mp4": "annotation", "video_test_5.mp4": "annotation",
        "video_validation_1.mp4": "container", "video_validation_2.mp4": "container",
    }  # fmt: skip
    assert set(result.annotations.durations.values()) == {3.0}


def test_ambiguous_segments_are_dropped_and_that_is_said(thumos, listed):
    result = listed(kind="thumos14")
    assert "info: 2 segments of ignored labels (Ambiguous) are no ground truth (problems.csv)" in result.messages
    assert result.problems == [
        ("video_test_5", "ignored label: 1 segments are left out"),
        ("video_validation_2", "ignored label: 1 segments are left out"),
    ]


def test_json_of_thumos14_with_times_as_text(thumos, listed, root):
    def entry(subset, *segments):
        return {"subset": subset, "annotations": [{"segment": [s, e], "label": label} for s, e, label in segments]}

    content = {
        "database": {
            "video_validation_1": entry("train", ("0.0", "1.0", "Diving")),
            "video_test_4": entry("Test", ("0.2", "0.9", "HighJump"), ("1.0", "1.5", "Ambiguous")),
        }
    }
    (root / "thumos_gt.json").write_text(json.dumps(content))
    result = listed(kind="thumos14", train="thumos_gt.json", test="thumos_gt.json")
    assert result.splits == {"video_test_4.mp4": "test", "video_validation_1.mp4": "train"}
    assert result.named("video_test_4.mp4") == [(0.2, 0.9, "HighJump")]


def test_one_split_alone(thumos, listed):
    assert set(listed(kind="thumos14", train=None).splits.values()) == {"test"}
    with pytest.raises(UserError, match="set `train`, `test` or both"):
        listed(kind="thumos14", train=None, test=None)


def test_text_files_as_published(root):
    folder = root / "annotation"
    folder.mkdir()
    (folder / "Diving_val.txt").write_text("video_validation_1  0.5 1.5\nvideo_validation_2  3 4.25\n\n")
    (folder / "Ambiguous_val.txt").write_text("video_validation_1  2.0 2.5\r\n")
    (folder / "Diving_test.txt").write_text("video_test_4  1 2\n")
    read = read_texts(root, folder, "train")
    assert {v.name: v.segments for v in read.videos} == {
        "video_validation_1": (RawSegment(2.0, 2.5, "Ambiguous"), RawSegment(0.5, 1.5, "Diving")),
        "video_validation_2": (RawSegment(3.0, 4.25, "Diving"),),
    }
    assert {v.duration for v in read.videos} == {None} and {v.split for v in read.videos} == {"train"}
    (folder / "Diving_val.txt").write_text("video_validation_1 0.5\n")
    assert read_texts(root, folder, "train").errors == [
        "annotation/Diving_val.txt:1: expected `<video> <start> <end>`, not 'video_validation_1 0.5'"
    ]
    shutil.rmtree(folder)
    folder.mkdir()
    with pytest.raises(UserError, match="has no files <Class>_val.txt"):
        read_texts(root, folder, "train")


def test_subsets_in_any_case_and_entries_without_extras(root):
    content = {"database": {
        "a": {"subset": "Training", "annotations": [{"segment": [0, 1.5], "label": "x", "label_id": 4}], "fps": 30},
        "b": {"subset": "testing", "annotations": []},
        "c": {"subset": "VALIDATION", "duration": "3.5"},
        "d": {"subset": "training", "duration": 0, "annotations": None},
    }}  # fmt: skip
    (root / "a.json").write_text(json.dumps(content), encoding="utf-8-sig")
    read = read_activitynet(root, "a.json", {"training": "train", "validation": "test"})
    assert [(v.name, v.split, v.duration, v.segments) for v in read.videos] == [
        ("a", "train", None, (RawSegment(0.0, 1.5, "x"),)), ("c", "test", 3.5, ()), ("d", "train", None, ()),
    ]  # fmt: skip
    assert read.known_labels is None and read.errors == []
    assert read.notes == ["1 videos of subset 'testing' are left out"]


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ({}, r"database\['a'\] has no subset"),
        ([], r"database\['a'\] has no subset"),
        ({"annotations": {}}, ""),
        ({"annotations": {"x": 1}}, r"database\['a'\]: annotations must be a list"),
        ({"annotations": [{"segment": [1], "label": "x"}]}, r"database\['a'\].annotations\[0\] must have a label"),
        ({"annotations": [{"segment": [1, "two"], "label": "x"}]}, r"annotations\[0\] must have"),
        ({"annotations": [{"segment": [1, True], "label": "x"}]}, r"annotations\[0\] must have"),
        ({"annotations": [{"segment": ["nan", 2], "label": "x"}]}, r"annotations\[0\] must have"),
        ({"annotations": [{"segment": [1, 2], "label": ""}]}, r"annotations\[0\] must have"),
        ({"annotations": [{"segment": [1, 2], "label": 7}]}, r"annotations\[0\] must have"),
        ({"annotations": ["x"]}, r"annotations\[0\] must have"),
        ({"duration": "long"}, "duration 'long' is no number of seconds"),
        ({"duration": -1}, "duration -1 is no number of seconds"),
    ],
)
def test_wrong_entries_have_their_place(film, listed, root, entry, message):
    film("a.mp4")
    if isinstance(entry, dict) and entry:
        entry = {"subset": "training", **entry}
    (root / "annotations.json").write_text(json.dumps({"database": {"a": entry}}))
    with pytest.raises(UserError, match=message or "not one annotated segment"):
        listed(subsets={"training": "train"})


@pytest.mark.parametrize(
    ("text", "message"),
    [("{", "is not JSON"), ("[]", "no field `database`"), ('{"database": []}', "no field `database`")],
)
def test_files_of_another_form(root, listed, text, message):
    (root / "annotations.json").write_text(text)
    with pytest.raises(UserError, match=message):
        listed()


def test_a_file_that_is_not_there(listed):
    with pytest.raises(UserError, match="annotations.json: No such file"):
        listed()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "video,label\nx,1\n",
            r"val_Annotation.csv:1: the columns are video, label; expected video, type, start, end or",
        ),
        (FRAMES_TABLE + "x,Diving,26,0,one,0,1\n", r"val_Annotation.csv:2: expected a video, a type"),
        (FRAMES_TABLE + "x,,26,0,1,0,1\n", r"val_Annotation.csv:2: expected a video, a type"),
        (INDEX_TABLE + "x,0,1,0,30,9,30,90,20\n", "label-idx is '20'; expected -1 or 0 to 19"),
        (INDEX_TABLE + "x,0,1,0,30,9,30,90,1.5\n", "label-idx is '1.5'"),
        (INDEX_TABLE + "x,zero,1,0,30,9,30,90,1\n", "val_Annotation.csv:2: expected a video-name"),
        (INDEX_TABLE + "x,0,1,0,30,9,30,90,1\nx,0,1,0,30,8,30,90,1\n", "x has the durations 9 and 8 s"),
    ],
)
def test_wrong_tables_have_their_place(root, listed, text, message):
    (root / "val_Annotation.csv").write_text(text)
    with pytest.raises(UserError, match=message):
        listed(kind="thumos14", test=None)


def test_an_unknown_class_of_thumos14(thumos, listed, root):
    (root / "val_Annotation.csv").write_text(FRAMES_TABLE + "video_validation_1,Dive,26,0,1,0,30\n")
    with pytest.raises(UserError, match="unknown_label: .*'Dive' is no class"):
        listed(kind="thumos14")


def test_both_forms_of_real_annotations_say_the_same(data, listed, root):
    """The shared key words have both: their text files name the validation part as test, to a hundredth of a second."""
    read = read_texts(data / "keywords", data / "keywords" / "annotation_txt", "test")
    whole = listed(at=data / "keywords")
    found = {video.name: video.segments for video in read.videos}
    for path, split in whole.splits.items():
        if split == "test":
            texts = sorted(found[path.removeprefix("videos/").removesuffix(".mp4")], key=lambda s: s.start)
            rows = whole.named(path)
            assert [s.label.lower() for s in texts] == [label.lower() for _, _, label in rows]
            for segment, (start, end, _) in zip(texts, rows):
                assert abs(segment.start - start) < 0.006 and abs(segment.end - end) < 0.006
