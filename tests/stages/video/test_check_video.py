"""What a check says about videos that are whole, damaged, cut off, or none."""

from __future__ import annotations

import io

import av
import numpy as np
import pytest

from stages.video import index
from stages.video.container import VideoError, open_video, stated_frames
from stages.video.cut_off import _matroska_end
from stages.video.index import _align, check


def test_a_whole_video(tmp_path, noise, write_video):
    checked = check(write_video(tmp_path / "a.mp4", noise(30), rate=10))
    assert (checked.status, checked.problem) == ("ok", "")
    assert (checked.width, checked.height, checked.rotate, checked.frames) == (48, 32, 0, 30)
    assert (checked.fps, checked.first, checked.last, checked.duration) == (
        10.0,
        0.0,
        pytest.approx(2.9),
        3.0,
    )
    assert checked.audio == ""


def test_one_frame(tmp_path, noise, write_video):
    checked = check(write_video(tmp_path / "a.mp4", noise(1)))
    assert (checked.status, checked.frames) == ("ok", 1)


def test_odd_size(tmp_path, noise, write_video):
    path = write_video(tmp_path / "a.mkv", noise(5, width=47, height=31), "ffv1", pix_fmt="bgr0")
    assert check(path).display_size == (47, 31)


def test_every_frame_is_handed_on_in_order(tmp_path, noise, write_video, decode_all):
    path = write_video(tmp_path / "a.mp4", noise(20))
    seen = []
    check(path, lambda found, frame: seen.append((found.width, frame.to_ndarray(format="rgb24"))))
    assert np.array_equal(np.stack([picture for _, picture in seen]), decode_all(path))
    assert {width for width, _ in seen} == {48}


@pytest.mark.parametrize("name, share", [("a.mp4", 0.6), ("a.mkv", 0.6), ("a.avi", 0.6)])
def test_a_file_cut_off(name, share, tmp_path, noise, write_video, decode_all):
    """What is before the cut is kept, and is what the whole file has there."""
    options = {"movflags": "faststart"} if name == "a.mp4" else {}
    codec = "mpeg4" if name == "a.avi" else "libx264"
    path = write_video(tmp_path / name, noise(80), codec, container_options=options)
    whole = decode_all(path)
    content = path.read_bytes()
    path.write_bytes(content[: int(share * len(content))])
    pictures = []
    checked = check(path, lambda _, frame: pictures.append(frame.to_ndarray(format="rgb24")))
    assert checked.status == "partial"
    assert 10 < checked.frames < 80
    assert f"{checked.frames} frames decode" in checked.problem and "cut" in checked.problem
    good = checked.frames - 2  # the very last packet may be cut in the middle
    assert np.array_equal(np.stack(pictures[:good]), whole[:good])


def test_damage_in_the_middle_ends_the_video_there(tmp_path, noise, write_video):
    path = write_video(tmp_path / "a.mp4", noise(60), options={"x264-params": "scenecut=0"})
    with av.open(str(path)) as container:
        packets = [(p.pos, p.size) for p in container.demux(video=0) if p.size]
    content = bytearray(path.read_bytes())
    at, size = packets[30]
    content[at : at + size] = b"\xff" * size
    path.write_bytes(content)
    checked = check(path)
    assert checked.status == "partial"
    assert 20 < checked.frames <= 31 and "damaged after frame" in checked.problem


def test_sound_only(tmp_path):
    path = tmp_path / "a.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("aac", rate=8000, layout="mono")
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), format="fltp", layout="mono")
        frame.sample_rate = 8000
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    checked = check(path)
    assert (checked.status, checked.frames, checked.audio) == ("no_video", 0, "aac/8000/1")
    assert "only sound" in checked.problem


@pytest.mark.parametrize(
    "content, reason",
    [
        (b"", "empty"),
        (b"this is no video\n" * 30, "not a video"),
        (b"\x00\x00\x00\x20ftypisom" + bytes(2000), "cut off"),
        (np.random.default_rng(0).bytes(5000), "not a video"),
    ],
)
def test_files_that_are_no_videos(content, reason, tmp_path):
    path = tmp_path / "a.mp4"
    path.write_bytes(content)
    checked = check(path)
    assert (checked.status, checked.frames, checked.usable) == ("error", 0, False)
    assert reason in checked.problem


def test_an_absent_file(tmp_path):
    checked = check(tmp_path / "gone.mp4")
    assert checked.status == "error" and "No such file" in checked.problem


@pytest.mark.parametrize(
    "name", ["-i.mp4", "a b.mp4", "öß 视频.mp4", "concat:a|b.mp4", "%03d.mp4", "[x]!&;#(1).mp4", "http:a.mp4"]
)
def test_names_that_mean_something_elsewhere(name, tmp_path, noise, write_video):
    path = write_video(tmp_path / "plain.mp4", noise(3)).rename(tmp_path / name)
    assert check(path).frames == 3


def test_headers_are_only_a_guess(data):
    """A header that claims 5,544 frames of a file that has none costs an estimate, nothing more."""
    path = data / "awkward" / "files" / "header_only_5544.mp4"
    with open_video(path) as (container, stream):
        assert stated_frames(container, stream) == 5544
    checked = check(path)
    assert (checked.status, checked.frames) == ("no_frames", 0)
    assert "5544 of 5544" in checked.problem


def test_a_header_that_promises_too_little(tmp_path, noise, write_video, monkeypatch):
    """Seek points are found all the same."""
    path = write_video(tmp_path / "a.mp4", noise(60), options={"x264-params": "scenecut=0"})
    expected = check(path, spacing=10).points.frames
    assert expected.tolist() == [12, 24, 36, 48]
    monkeypatch.setattr(index, "stated_frames", lambda *_: 1)
    assert check(path, spacing=10).points.frames.tolist() == expected.tolist()


def test_errors_travel_between_processes():
    import pickle

    error = pickle.loads(pickle.dumps(VideoError("no_video", "only sound", "aac/8000/1")))
    assert (error.status, str(error), error.audio) == ("no_video", "only sound", "aac/8000/1")


@pytest.mark.parametrize(
    "length, end",
    [
        (b"\x85", 5),  # one byte: 5
        (b"\x40\x05", 5),  # two bytes
        (b"\x01\x00\x00\x00\x00\x00\x01\x00", 256),  # eight bytes
        (b"\xff", None),  # unknown, one byte
        (b"\x01\xff\xff\xff\xff\xff\xff\xff", None),  # unknown, eight bytes
    ],
)
def test_the_end_of_a_matroska_segment(length, end):
    head = b"\x1a\x45\xdf\xa3\x82xx" + b"\x18\x53\x80\x67" + length
    assert _matroska_end(io.BytesIO(head)) == (None if end is None else len(head) + end)


def test_the_end_of_other_files_is_unknown():
    assert _matroska_end(io.BytesIO(b"RIFFxxxxAVI ")) is None


class TestAlign:
    """Marks 0, 1, 2 … are pictures; a landing is (marks, time stamps, whether the video ended)."""

    marks = np.array([7, 1, 2, 3, 4, 5, 6, 8])
    stamps = tuple(range(8))

    def test_exact(self):
        assert _align(([3, 4, 5], [3, 4, 5], False), self.marks, list(self.stamps), 3) == (3, 0)

    def test_frames_before_the_key_frame_are_dropped(self):
        assert _align(([99, 98, 4, 5, 6], [1, 2, 4, 5, 6], False), self.marks, list(self.stamps), 3) == (4, 2)

    def test_other_pictures(self):
        assert _align(([90, 91, 92], [3, 4, 5], False), self.marks, list(self.stamps), 3) is None

    def test_a_picture_that_differs_later(self):
        assert _align(([3, 4, 99], [3, 4, 5], False), self.marks, list(self.stamps), 3) is None

    def test_an_end_that_comes_too_early(self):
        assert _align(([3, 4, 5], [3, 4, 5], True), self.marks, list(self.stamps), 3) is None
        assert _align(([5, 6, 8], [5, 6, 7], True), self.marks, list(self.stamps), 3) == (5, 0)

    def test_a_still_is_told_apart_by_time_stamps(self):
        still = np.array([9] * 8)
        assert _align(([9, 9], [4, 5], False), still, list(self.stamps), 3) == (4, 0)

    @pytest.mark.parametrize("stamps", [[None, None], [40, 50]])
    def test_a_still_without_them_is_given_up(self, stamps):
        assert _align(([9, 9], stamps, False), np.array([9] * 8), list(self.stamps), 3) is None

    def test_nothing_landed(self):
        assert _align(([], [], False), self.marks, list(self.stamps), 3) is None
