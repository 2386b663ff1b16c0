"""Folders of pictures as videos: which pictures are the frames, in which order, and what is wrong with others."""

from __future__ import annotations

import os
import re
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from stages.video.container import VideoError
from stages.video.decode import SeekPoints, read_frames
from stages.video.index import check
from stages.video.picture_folder import has_frames, open_pictures


def save(path: Path, picture: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(picture).save(path)


@pytest.fixture
def make(tmp_path, noise):
    """Write pictures (the n-th is the n-th of ``noise``) under these names into a folder."""

    def write(*names: str, width: int = 48, height: int = 32) -> Path:
        for name, picture in zip(names, noise(len(names), width, height)):
            save(tmp_path / "v" / name, picture)
        return tmp_path / "v"

    return write


def test_numbers_are_in_order_as_numbers(make):
    folder = open_pictures(make("frame10.png", "frame9.PNG", "frame100.png", "frame11.png"))
    assert folder.names == ("frame9.PNG", "frame10.png", "frame11.png", "frame100.png")
    assert folder.numbers == (9, 10, 11, 100) and folder.strays == ()


@given(st.sets(st.integers(0, 10**6), min_size=1, max_size=30), st.sampled_from(["{}", "img_{:05d}", "v_Jump_g01_c01_{:03d}"]))
def test_any_numbers_in_any_form(tmp_path_factory, numbers, form):
    folder = tmp_path_factory.mktemp("v")
    for number in numbers:
        (folder / f"{form.format(number)}.jpg").touch()
    assert open_pictures(folder).numbers == tuple(sorted(numbers))


@pytest.mark.parametrize("name", ["img_{:05d}.jpg", "image_{}.jpeg", "{:06d}.png", "v_{}.bmp", "a 1 [x]!_{}.png", "IMG_{}_rgb.webp"])
def test_names_of_many_scripts(make, name):
    assert open_pictures(make(*(name.format(n) for n in range(8, 12)))).numbers == (8, 9, 10, 11)


FLOW = [
    ("flow_x_{}.jpg", "flow_y_{}.jpg"),
    ("{}_x.jpg", "{}_y.jpg"),
    ("u_{}.png", "v_{}.png"),
    ("flow{}.jpg", "flow_{}.png"),
    ("img_{}_u.jpg", "img_{}_v.jpg"),
]


@pytest.mark.parametrize("planes", FLOW)
def test_flow_beside_the_frames_is_left_alone(make, planes):
    flow = [plane.format(f"{n:03d}") for n in (1, 2) for plane in planes]
    folder = open_pictures(make("img_001.jpg", "img_002.jpg", "img_003.jpg", *flow))
    assert folder.names == ("img_001.jpg", "img_002.jpg", "img_003.jpg") and folder.strays == ()
    assert not has_frames(flow) and has_frames(["img_001.jpg", *flow])


def test_what_else_lies_there_is_known(make):
    folder = make("img_1.jpg", "img_2.jpg", "cover.jpg", "thumb_7.jpg", "TSP_Flows/img_1.jpg")
    for name in ("Thumbs.db", "img_3.txt", ".DS_Store", "._img_3.jpg"):
        (folder / name).write_bytes(b"?")
    found = open_pictures(folder)
    assert found.names == ("img_1.jpg", "img_2.jpg")
    assert found.strays == ("TSP_Flows", "Thumbs.db", "cover.jpg", "img_3.txt", "thumb_7.jpg")


@pytest.mark.parametrize(
    ("names", "status", "words"),
    [
        (("a_1.jpg", "a_2.jpg", "b_1.jpg", "b_2.jpg"), "error", "pictures of 2 kinds, such as a_1.jpg and b_1.jpg: keep"),
        (("a_1.jpg", "a_01.jpg", "a_2.jpg"), "error", "a_01.jpg and a_1.jpg have the same number"),
        (("a_1.jpg", "a_1.png"), "error", "have the same number"),
        (("cover.jpg",), "no_frames", "no numbered pictures of frames"),
        (("flow_x_1.jpg", "flow_y_1.jpg"), "no_frames", "no numbered pictures of frames"),
    ],
)
def test_folders_of_which_it_is_not_clear_what_to_read(make, names, status, words):
    folder = make(*names)
    with pytest.raises(VideoError, match=words) as caught:
        open_pictures(folder)
    assert caught.value.status == status
    checked = check(folder)
    assert (checked.status, checked.problem) == (status, str(caught.value)) and not checked.usable


def test_every_frame_is_handed_on_in_order(make, noise):
    folder, seen = make(*(f"{n}.png" for n in range(8, 12))), []
    checked = check(folder, lambda found, frame: seen.append((found.width, frame.to_ndarray(format="rgb24"))))
    assert np.array_equal(np.stack([picture for _, picture in seen]), noise(4))
    assert {width for width, _ in seen} == {48}
    assert (checked.status, checked.problem, checked.frames, checked.display_size) == ("ok", "", 4, (48, 32))
    assert len(checked.points.frames) == 0 and checked.fps == 0


def test_frames_by_their_numbers(make, noise):
    folder = make(*(f"img_{n}.png" for n in range(5, 17)), width=47)
    numbers = np.array([11, 0, 3, 3])
    got = read_frames(folder, numbers, (47, 32), 0, SeekPoints.none())
    assert np.array_equal(got, noise(12, width=47)[numbers])
    small = read_frames(folder, numbers, (24, 16), 0, SeekPoints.none())
    assert small.shape == (4, 16, 24, 3)
    assert np.abs(small.mean((1, 2)) - got.mean((1, 2))).max() < 3
    with pytest.raises(VideoError, match="frame 12 was asked for"):
        read_frames(folder, np.array([2, 12]), (47, 32), 0, SeekPoints.none())


def test_jpegs_are_what_pil_reads(make):
    folder = make("1.jpg", "2.jpg")
    got = read_frames(folder, np.arange(2), (48, 32), 0, SeekPoints.none())
    assert np.array_equal(got, [np.asarray(Image.open(folder / name)) for name in ("1.jpg", "2.jpg")])


@pytest.mark.parametrize("mode", ["L", "RGBA", "CMYK", "P", "1"])
def test_pictures_of_other_colours(make, mode):
    folder = make("1.png")
    name = "1.jpg" if mode == "CMYK" else "1.png"
    picture = Image.open(folder / "1.png").convert(mode)
    (folder / "1.png").unlink()
    picture.save(folder / name)
    expected = np.asarray(Image.open(folder / name).convert("RGB"))
    assert np.array_equal(read_frames(folder, np.array([0]), (48, 32), 0, SeekPoints.none())[0], expected)


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-60])


def other_size(path: Path) -> None:
    save(path, np.zeros((32, 40, 3), np.uint8))


@pytest.mark.parametrize(
    ("harm", "words"),
    [
        (cut, "picture 4 cannot be read: .*(truncated|broken).*"),
        (lambda path: path.write_bytes(b""), "picture 4 cannot be read: it is no picture"),
        (lambda path: path.write_text("no picture at all"), "picture 4 cannot be read: it is no picture"),
        (other_size, "picture 4 is 40 x 32, where the first is 48 x 32"),
        (os.unlink, "after picture 3 comes 5, not 4"),
    ],
)
@pytest.mark.parametrize("suffix", ["jpg", "png"])
def test_frames_before_a_bad_picture_are_used(make, harm, words, suffix):
    folder = make(*(f"{n}.{suffix}" for n in range(1, 9)))
    harm(folder / f"4.{suffix}")
    checked = check(folder)
    assert (checked.status, checked.frames) == ("partial", 3)
    assert re.fullmatch(f"3 frames decode; {words}", checked.problem)


def test_a_first_picture_that_is_none(make):
    folder = make("1.jpg", "2.jpg")
    (folder / "1.jpg").write_bytes(b"")
    checked = check(folder)
    assert checked.status == "no_frames" and not checked.usable
    assert checked.problem == "no picture can be used: picture 1 cannot be read: it is no picture"


def test_numbers_may_go_up_in_steps(make):
    folder = make("0.jpg", "5.jpg", "10.jpg", "15.jpg", "25.jpg")
    checked = check(folder)
    assert (checked.status, checked.frames) == ("partial", 4)
    assert checked.problem == "4 frames decode; after picture 15 comes 25, not 20"
    (folder / "25.jpg").rename(folder / "20.jpg")
    assert check(folder).status == "ok"


def test_a_picture_that_the_disk_does_not_give(make):
    folder = make("1.jpg", "2.jpg", "3.jpg")
    (folder / "2.jpg").unlink()
    (folder / "2.jpg").symlink_to("nowhere.jpg")
    checked = check(folder)
    assert (checked.status, checked.problem) == ("error", "picture 2 cannot be read: No such file or directory")
    assert not checked.usable


def test_the_digest_is_of_content_and_order_not_of_names(make, tmp_path):
    folder = make(*(f"a_{n:03d}.png" for n in range(1, 10)))
    size, digest = open_pictures(folder).digest()
    assert size == sum(path.stat().st_size for path in folder.iterdir())
    for path in sorted(folder.iterdir()):
        path.rename(folder / path.name.replace("a_00", "picture "))
    assert open_pictures(folder).digest() == (size, digest)

    first, second = folder / "picture 1.png", folder / "picture 2.png"
    first.rename(folder / "x")
    second.rename(first)
    (folder / "x").rename(second)
    swapped = open_pictures(folder).digest()
    assert swapped[0] == size and swapped[1] != digest


@pytest.mark.parametrize("number", [1, 5, 9])
def test_another_picture_of_the_same_size_is_noticed_at_both_ends_and_in_the_middle(make, number):
    folder = make(*(f"{n}.bmp" for n in range(1, 10)))
    before = open_pictures(folder).digest()
    path = folder / f"{number}.bmp"
    path.write_bytes(path.read_bytes()[:-1] + b"\x07")
    after = open_pictures(folder).digest()
    assert after[0] == before[0] and after[1] != before[1]
