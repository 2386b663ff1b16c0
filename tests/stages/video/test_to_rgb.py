"""Colours, sizes and rotation of converted frames."""

from __future__ import annotations

import av
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stages.video.container import quarter_turns
from stages.video.decode import SeekPoints, fit, mark, read_frames, to_rgb
from stages.video.index import check

COLOURS = {
    "red": (255, 0, 0),
    "green": (0, 255, 0),
    "blue": (0, 0, 255),
    "white": (255, 255, 255),
    "black": (0, 0, 0),
}


def plain(colour, width=32, height=16, pix_fmt="yuv420p") -> av.VideoFrame:
    picture = np.full((height, width, 3), colour, np.uint8)
    return av.VideoFrame.from_ndarray(picture, format="rgb24").reformat(format=pix_fmt)


@pytest.mark.parametrize(
    "pix_fmt", ["yuv420p", "yuvj420p", "yuv444p", "yuv420p10le", "yuv422p10le", "bgra", "gbrp"]
)
@pytest.mark.parametrize("colour", COLOURS)
def test_colours(colour, pix_fmt):
    picture = to_rgb(plain(COLOURS[colour], pix_fmt=pix_fmt), (32, 16), 0)
    assert picture.shape == (16, 32, 3) and picture.dtype == np.uint8
    assert np.abs(picture.astype(int) - COLOURS[colour]).max() <= 3


@pytest.mark.parametrize("pix_fmt", ["gray", "gray16le"])
def test_grey(pix_fmt):
    picture = to_rgb(plain((90, 90, 90), pix_fmt=pix_fmt), (32, 16), 0)
    assert np.abs(picture.astype(int) - 90).max() <= 2


def test_full_range_is_kept():
    """16 is black in studio range, and dark grey in full range."""
    frame = av.VideoFrame.from_ndarray(np.full((24, 32), 16, np.uint8), format="gray").reformat(
        format="yuv420p"
    )
    for plane, value in zip(frame.planes, (16, 128, 128)):
        plane.update(bytes([value]) * plane.buffer_size)
    frame.color_range = 1
    assert to_rgb(frame, (32, 24), 0).max() <= 1
    frame.color_range = 2
    assert to_rgb(frame, (32, 24), 0).min() >= 15


def test_the_matrix_of_hd_video():
    """The luma of pure green is 0.7152 by BT.709 and 0.587 by BT.601: read by the wrong one it would not come out pure."""
    frame = plain((0, 255, 0), pix_fmt="yuv420p")
    # Y, Cb, Cr of (0, 255, 0) by BT.709 in studio range, by hand: 16 + 219 * 0.7152, 128 - 224 * 0.7152 / 1.8556, …
    for plane, value in zip(frame.planes, (173, 42, 26)):
        plane.update(bytes([value]) * plane.buffer_size)
    frame.colorspace, frame.color_range = 1, 1
    assert np.abs(to_rgb(frame, (32, 16), 0).astype(int) - (0, 255, 0)).max() <= 3


def corners() -> np.ndarray:
    """Red at the top left, green at the top right, blue at the bottom left, white at the bottom right: [32, 64, 3]."""
    picture = np.zeros((32, 64, 3), np.uint8)
    picture[:16, :32], picture[:16, 32:] = COLOURS["red"], COLOURS["green"]
    picture[16:, :32], picture[16:, 32:] = COLOURS["blue"], COLOURS["white"]
    return picture


@pytest.mark.parametrize(
    "rotate, clockwise_from_top_left",
    [
        (0, ["red", "green", "white", "blue"]),
        (90, ["blue", "red", "green", "white"]),
        (180, ["white", "blue", "red", "green"]),
        (270, ["green", "white", "blue", "red"]),
    ],
)
def test_turning_clockwise(rotate, clockwise_from_top_left):
    frame = av.VideoFrame.from_ndarray(corners(), format="rgb24")
    size = (64, 32) if rotate % 180 == 0 else (32, 64)
    picture = to_rgb(frame, size, rotate)
    assert picture.shape == (size[1], size[0], 3)
    got = [tuple(picture[y, x].tolist()) for y, x in ((0, 0), (0, -1), (-1, -1), (-1, 0))]
    assert got == [COLOURS[name] for name in clockwise_from_top_left]


def test_scaling_averages_and_does_not_alias():
    stripes = np.zeros((64, 64, 3), np.uint8)
    stripes[:, ::2] = 255
    small = to_rgb(av.VideoFrame.from_ndarray(stripes, format="rgb24"), (8, 8), 0)
    assert np.abs(small[:, 1:-1].astype(int) - 128).max() <= 4


@pytest.mark.parametrize(
    "width, height, short_side, expected",
    [
        (320, 240, 144, (192, 144)),
        (320, 240, 128, (171, 128)),
        (240, 320, 144, (144, 192)),
        (160, 120, 144, (160, 120)),  # never enlarged
        (640, 32, 144, (640, 32)),
        (1920, 1080, 144, (256, 144)),
        (7, 1000, 8, (7, 1000)),
    ],
)
def test_fit(width, height, short_side, expected):
    assert fit(width, height, short_side) == expected


@given(st.integers(1, 5000), st.integers(1, 5000), st.integers(8, 600))
def test_fit_never_enlarges_and_keeps_the_shape(width, height, short_side):
    w, h = fit(width, height, short_side)
    assert min(w, h) == min(short_side, min(width, height))
    assert w <= width and h <= height
    assert abs(w / h - width / height) <= width / height * (0.5 / min(w, h)) + 0.5 / h + 1e-9


@pytest.mark.parametrize(
    "rotate_file, turns", [("phone_rot_90.mov", 90), ("phone_rot_180.mov", 180), ("rot_90.mp4", 270)]
)
def test_phone_videos_come_out_upright(rotate_file, turns, data, decode_all):
    path = data / "awkward" / "files" / rotate_file
    checked = check(path)
    assert checked.rotate == turns
    got = read_frames(path, np.array([0, 2]), checked.display_size, checked.rotate, SeekPoints.none())
    stored = decode_all(path)[[0, 2]]
    assert np.array_equal(got, np.rot90(stored, -(turns // 90), axes=(1, 2)))


def test_a_damaged_display_matrix_is_ignored(data):
    assert check(data / "awkward" / "files" / "invalid_matrix_damaged.mp4").rotate == 0


@pytest.mark.parametrize(
    "rotation, clockwise", [(0, 0), (-90, 90), (90, 270), (180, 180), (-180, 180), (45, 0), (-2147483648, 0)]
)
def test_quarter_turns(rotation, clockwise):
    class Turned:
        pass

    frame = Turned()
    frame.rotation = rotation  # counter-clockwise, as FFmpeg counts
    assert quarter_turns(frame) == clockwise


def test_marks_tell_pictures_apart_and_ignore_padding():
    a, b = plain((10, 20, 30), width=30), plain((10, 20, 30), width=30)
    for plane in b.planes:  # rows are longer than the picture is wide: what lies there is no part of it
        rows = np.frombuffer(plane, np.uint8).reshape(plane.height, plane.line_size).copy()
        rows[:, plane.width :] = 77
        plane.update(rows.tobytes())
    assert any(plane.line_size > plane.width for plane in b.planes)
    assert mark(a) == mark(b)
    assert mark(a) != mark(plain((10, 20, 40), width=30))
