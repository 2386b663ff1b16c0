"""Data sets whose videos are folders of pictures, in every layout. Nothing is decoded, so the pictures are none."""

from __future__ import annotations

import pytest

from engine.errors import UserError


@pytest.fixture
def extract(touch):
    """Make folders of three pictures each."""

    def make(*folders: str, name: str = "img_{:05d}.jpg") -> None:
        touch(*(f"{folder}/{name.format(n)}" for folder in folders for n in (1, 2, 3)))

    return make


def test_one_folder_a_class(extract, listed):
    extract("train/run/a.b", "train/walk/deep/b", "test/run/c", "test/walk/d")
    result = listed(pictures=True, kind="folder")
    assert result.rows == {
        "train/run/a.b": ("run", "train", ""),
        "train/walk/deep/b": ("walk", "train", ""),
        "test/run/c": ("run", "test", ""),
        "test/walk/d": ("walk", "test", ""),
    }
    assert result.problems == [] and result.warnings == []
    assert result.metrics["bytes"] == sum(3 * len(f"{path}/img_00001.jpg") for path in result.rows)


def test_a_share_is_held_out(extract, listed):
    extract(*(f"{label}/{i:02d}" for label in "ab" for i in range(8)))
    rows = listed(pictures=True, kind="folder", test_share=0.25).rows
    assert sorted(row[1] for row in rows.values() if row[0] == "a") == ["test"] * 2 + ["train"] * 6


def test_without_the_field_folders_of_pictures_are_no_videos(extract, listed):
    extract("a/0", "a/1")
    with pytest.raises(UserError, match="no videos below"):
        listed(kind="folder")


def test_video_files_are_no_folders_of_pictures(touch, listed):
    touch("a/0.mp4", "a/1.mp4")
    with pytest.raises(UserError, match="no folders of pictures below"):
        listed(pictures=True, kind="folder")


def test_what_else_lies_there_is_passed_over_and_reported(extract, touch, listed):
    """In a widely shared copy of UCF101 a folder of flow lies inside the folder of one clip."""
    extract("LongJump/v1", "LongJump/v2", "LongJump/v1/TSP_Flows", "LongJump/v1/TSP_Flows/deeper", "above")
    extract("LongJump/v2", name="flow_x_{:05d}.jpg")
    extract("LongJump/v2", name="flow_y_{:05d}.jpg")
    extract("LongJump/flow", name="flow_x_{:05d}.jpg")
    touch("LongJump/v2/Thumbs.db", "LongJump/cover.jpg", "LongJump/notes.txt", "LongJump/v1/.hidden")
    result = listed(pictures=True, kind="folder")
    assert sorted(result.rows) == ["LongJump/v1", "LongJump/v2"]
    assert result.problems == [
        ("LongJump/notes.txt", "ignored: it is no folder of pictures"),
        ("LongJump/v1/TSP_Flows", "ignored: it is no picture of the video"),
        ("LongJump/v2/Thumbs.db", "ignored: it is no picture of the video"),
        ("above", "empty class: the folder has no videos; it is left out"),
        ("above", "ignored: it does not lie in the folder of a class"),
    ]
    assert any("5 remarks" in warning for warning in result.warnings)


@pytest.mark.parametrize("above", ["", "UCF-101/", "jpegs_256/", "frames/", "some/where/"])
@pytest.mark.parametrize("ending", [".avi", ""])
def test_the_lists_of_ucf101(above, ending, extract, touch, listed):
    extract(f"{above}Jump/v_Jump_g01_c01", f"{above}Jump/v_Jump_g08_c01", f"{above}Jump/v_Jump_g08_c02")
    extract("flow/Jump/v_Jump_g08_c01", name="flow_x_{}.jpg")
    touch("splits/classInd.txt", content="1 Jump\n")
    touch("splits/trainlist01.txt", content=f"Jump/v_Jump_g08_c01{ending} 1\r\n")
    touch("splits/testlist01.txt", content=f"Jump/v_Jump_g01_c01{ending}\r\n")
    assert listed(pictures=True, kind="ucf101").rows == {
        f"{above}Jump/v_Jump_g08_c01": ("Jump", "train", "Jump_g08"),
        f"{above}Jump/v_Jump_g01_c01": ("Jump", "test", "Jump_g01"),
    }


def test_videos_beside_their_pictures(extract, touch, listed):
    extract("Jump/v_Jump_g08_c01", "jpegs/Jump/v_jump_G08_c02")
    touch("Jump/v_Jump_g08_c01.avi", "Jump/v_Jump_g08_c02.avi", "splits/testlist01.txt", "splits/classInd.txt")
    touch("splits/classInd.txt", content="1 Jump\n")
    touch("splits/testlist01.txt", content="")
    touch("splits/trainlist01.txt", content="Jump/v_Jump_g08_c01.avi 1\nJump/v_Jump_g08_c02.avi 1\n")
    assert sorted(listed(pictures=True, kind="ucf101").rows) == ["Jump/v_Jump_g08_c01", "jpegs/Jump/v_jump_G08_c02"]
    assert sorted(listed(kind="ucf101").rows) == ["Jump/v_Jump_g08_c01.avi", "Jump/v_Jump_g08_c02.avi"]


def test_names_of_hmdb51_are_no_patterns(extract, touch, listed):
    names = ["a[b]_pour_1", "[Boo]!c&d;e#f_(2)", "x.y.z_3"]
    extract(*(f"pour/{name}" for name in names))
    lines = "".join(f"{name}.avi {1 + i % 2} \n" for i, name in enumerate(names))
    touch("splits/pour_test_split1.txt", content=lines)
    result = listed(pictures=True, kind="hmdb51")
    assert {path: row[1] for path, row in result.rows.items()} == {
        f"pour/{names[0]}": "train",
        f"pour/{names[1]}": "test",
        f"pour/{names[2]}": "train",
    }


def test_the_csv_of_kinetics(extract, touch, listed):
    extract("train/air drumming/-abc_DEF_12_000010_000020")
    touch("train.csv", content='label,youtube_id,time_start,time_end\n"air drumming",-abc_DEF_12,10,20\n')
    assert list(listed(pictures=True, kind="kinetics", test=None).rows) == [
        "train/air drumming/-abc_DEF_12_000010_000020"
    ]


@pytest.mark.parametrize(
    "content",
    [
        "videos/a b 3 10\nc 3 2\n",  # MMAction's: folder, number of pictures, label
        "c 2\nvideos/a b 10\n",
        "c,2\nvideos/a b/,10\n",
        "c.mp4,2\nvideos/a b.mp4,10\n",
        "path,frames,label\nc,3,2\nvideos/a b,3,10\n",
        "path label\nc 2\nvideos/a b 10\n",
    ],
)
def test_lists_of_paths_and_numbers(content, extract, touch, listed):
    extract("videos/a b", "c")
    touch("train.csv", content=content)
    rows = listed(pictures=True, kind="kinetics", test=None).rows
    assert {path: row[0] for path, row in rows.items()} == {"videos/a b": "10", "c": "2"}


def test_a_first_line_that_names_an_absent_folder_is_no_header(extract, touch, listed):
    extract("x/a")
    touch("train.csv", content="x/gone 3 1\nx/a 3 1\n")
    assert listed(pictures=True, kind="kinetics", test=None, missing_limit=0.6).metrics["absent"] == 1


def test_a_manifest_names_the_folders(extract, touch, listed):
    extract("x/a", "b c")
    touch("b c.mp4")
    touch("manifest.csv", content="path,label,split\nx/a/,run,train\nb c,walk,test\nb c.mp4,walk,test\n")
    result = listed(pictures=True, kind="manifest", missing_limit=0.5)
    assert {path: row[:2] for path, row in result.rows.items()} == {"x/a": ("run", "train"), "b c": ("walk", "test")}
    assert result.metrics["absent"] == 1


def test_folders_that_cannot_be_used_are_reported(extract, touch, listed):
    extract("a/0", "a/1", "a/2")
    extract("a/1", name="other_{}.jpg")
    touch("a/2/img_01.png")
    result = listed(pictures=True, kind="folder")
    assert sorted(result.rows) == ["a/0"]
    problems = dict(result.problems)
    assert "pictures of 2 kinds" in problems["a/1"] and "the same number" in problems["a/2"]
    assert any("2 videos cannot be read" in warning for warning in result.warnings)


def test_the_same_pictures_in_two_splits_leak(extract, touch, listed):
    for folder, name in (("train/run/a", "img_{}.jpg"), ("test/run/b", "{:05d}.jpg")):
        touch(*(f"{folder}/{name.format(n)}" for n in (1, 2)), content="the same")
    with pytest.raises(UserError, match="1 leaks between splits"):
        listed(pictures=True, kind="folder")


def test_a_new_listing_notices_a_new_picture(extract, touch, listed):
    extract("a/0", "a/1")
    before = {video.path: video for video in listed(pictures=True, kind="folder").listing.videos}
    touch("a/1/img_00004.jpg")
    after = {video.path: video for video in listed(pictures=True, kind="folder").listing.videos}
    assert before["a/0"] == after["a/0"]
    assert before["a/1"].digest != after["a/1"].digest and before["a/1"].size < after["a/1"].size
