"""Whatever the codec, the container and the order of time stamps: frame n is the n-th frame of a full decode."""

from __future__ import annotations

import csv

import numpy as np
import pytest

from stages.video.container import VideoError, open_video
from stages.video.decode import SeekPoints, frames_from, read_frames
from stages.video.index import SPACING, check

MAKES = {
    "mp4 with B-frames": ("a.mp4", "libx264", {"bf": "3", "x264-params": "scenecut=0"}),
    "mp4, open GOP": ("a.mp4", "libx264", {"bf": "3", "x264-params": "open-gop=1:scenecut=0"}),
    "mp4, periodic intra refresh": ("a.mp4", "libx264", {"x264-params": "intra-refresh=1"}),
    "Matroska with B-frames": ("a.mkv", "libx264", {"bf": "3", "x264-params": "scenecut=0"}),
    "transport stream, open GOP": ("a.ts", "libx264", {"bf": "2", "x264-params": "open-gop=1:scenecut=0"}),
    "AVI, MPEG-4 with B-frames": ("a.avi", "mpeg4", {"bf": "2"}),
    "AVI, H.264 with B-frames": ("a.avi", "libx264", {"bf": "2", "x264-params": "scenecut=0"}),
    "MPEG program stream": ("a.mpg", "mpeg2video", {"bf": "2"}),
    "WebM, VP9 with hidden frames": (
        "a.webm",
        "libvpx-vp9",
        {"auto-alt-ref": "1", "lag-in-frames": "10", "cpu-used": "8"},
    ),
    "motion JPEG": ("a.avi", "mjpeg", {}),
    "GIF": ("a.gif", "gif", {}),
}
SEEKABLE = {name for name in MAKES if not name.startswith(("GIF", "mp4, periodic", "transport"))}


@pytest.mark.parametrize("make", MAKES)
@pytest.mark.parametrize("still", [False, True], ids=["moving", "with a still"])
def test_every_frame_of_every_make(make, still, tmp_path, noise, write_video, decode_all):
    name, codec, options = MAKES[make]
    frames = noise(60)
    if still:
        frames[10:40] = frames[
            10
        ]  # the same picture for more than a GOP: contents alone do not tell where one is
    pix_fmt = {"mjpeg": "yuvj420p", "gif": "rgb8"}.get(codec, "yuv420p")
    path = write_video(tmp_path / name, frames, codec, options, pix_fmt)
    expected = decode_all(path)

    checked = check(path, spacing=10)

    assert (checked.status, checked.frames) == ("ok", len(expected))
    if make in SEEKABLE and not still:
        assert len(checked.points.frames) >= 3, "no seek point was found, so nothing is tested"
    for number in range(len(expected)):
        got = read_frames(path, np.array([number]), (48, 32), 0, checked.points)
        assert np.array_equal(got[0], expected[number]), number
    run = np.arange(5, 55)
    assert np.array_equal(read_frames(path, run, (48, 32), 0, checked.points), expected[run])


def test_numbers_in_any_order_and_repeated(tmp_path, noise, write_video, decode_all):
    path = write_video(tmp_path / "a.mp4", noise(60))
    numbers = np.array([51, 3, 3, 59, 0, 27, 51])
    got = read_frames(path, numbers, (48, 32), 0, check(path, spacing=10).points)
    assert np.array_equal(got, decode_all(path)[numbers])


def test_a_seek_saves_decoding(tmp_path, noise, write_video):
    path = write_video(tmp_path / "a.mp4", noise(120), options={"x264-params": "scenecut=0"})
    points = check(path, spacing=10).points
    first, _ = next(frames_from(path, points, points.before(119)))
    assert first == 108  # the last of the key frames, which come every 12


def test_short_videos_are_not_searched_for_seek_points(tmp_path, noise, write_video):
    path = write_video(tmp_path / "a.mp4", noise(3 * SPACING - 1))
    assert len(check(path).points.frames) == 0


@pytest.mark.parametrize("spoilt", ["marks", "frames", "times"])
def test_an_index_that_does_not_fit_is_not_believed(spoilt, tmp_path, noise, write_video, decode_all):
    """As if the index came from an FFmpeg that seeks elsewhere: slow, yet exact."""
    path = write_video(tmp_path / "a.mp4", noise(60))
    points = check(path, spacing=10).points
    columns = {name: getattr(points, name).copy() for name in ("frames", "times", "drops", "marks")}
    columns[spoilt][-1] = {"marks": 1, "frames": 47, "times": 10**9}[spoilt]
    if spoilt == "frames":
        columns["marks"][-1] = 1
    got = read_frames(path, np.array([58]), (48, 32), 0, SeekPoints(**columns))
    assert np.array_equal(got[0], decode_all(path)[58])


def test_a_frame_beyond_the_end(tmp_path, noise, write_video):
    path = write_video(tmp_path / "a.mp4", noise(10))
    with pytest.raises(VideoError, match="frame 10 was asked for"):
        read_frames(path, np.array([9, 10]), (48, 32), 0, SeekPoints.none())


@pytest.mark.parametrize("name, frames", [("ApplyEyeMakeup", 164), ("BaseballPitch", 107)])
def test_true_ucf101_files(name, frames, data, decode_all):
    """Packed B-frames in AVI, where time stamps run backwards."""
    path = data / "ucf101_sample" / name / f"v_{name}_g01_c01.avi"
    expected = decode_all(path)
    checked = check(path, spacing=8)
    assert checked.frames == frames == len(expected)
    assert (len(checked.points.frames) > 5) == (name == "BaseballPitch")  # the other file has one key frame
    for number in range(0, frames, 1 if len(checked.points.frames) else 20):
        got = read_frames(path, np.array([number]), (320, 240), 0, checked.points)
        assert np.array_equal(got[0], expected[number]), number
    for numbers in (np.arange(frames), np.arange(frames)[::-7]):
        assert np.array_equal(read_frames(path, numbers, (320, 240), 0, checked.points), expected[numbers])


def test_samples_of_real_sets(data, decode_all):
    paths = [
        *sorted((data / "lips20" / "videos").glob("*/*_g01_c01.mp4"))[:5],
        *sorted((data / "fight" / "videos").glob("*/*.mp4"))[::80],
        *sorted((data / "weizmann4" / "videos").glob("*/*.avi"))[::9],
        data / "untrimmed" / "keywords" / "videos" / "kw_g01_1.mp4",
    ]
    for path in paths:
        _same_as_full_decode(path, decode_all(path))


def test_awkward_files_that_are_whole(data, decode_all):
    folder = data / "awkward"
    with open(folder / "expected.csv", newline="", encoding="utf-8") as file:
        rows = [row for row in csv.DictReader(file) if row["expect"] == "ok" and int(row["width"]) <= 340]
    assert {"huge_gop.mp4", "start_at_10s.mkv", "cut_not_on_keyframe.mp4", "edit_list_discard.mp4"} <= {
        r["file"] for r in rows
    }
    for row in rows:
        _same_as_full_decode(folder / "files" / row["file"], decode_all(folder / "files" / row["file"]))


def _same_as_full_decode(path, expected):
    checked = check(path, spacing=8)
    size, rng = (checked.width, checked.height), np.random.default_rng(0)
    for count in (1, 4):
        numbers = rng.integers(0, len(expected), count)
        got = read_frames(path, numbers, size, 0, checked.points)
        assert np.array_equal(got, expected[numbers]), (path.name, numbers)
    start = int(rng.integers(0, len(expected)))
    run = np.arange(start, min(start + 20, len(expected)))
    assert np.array_equal(read_frames(path, run, size, 0, checked.points), expected[run]), path.name


def test_a_playlist_cannot_reach_the_network(tmp_path):
    path = tmp_path / "list.mp4"
    path.write_text("#EXTM3U\n#EXTINF:1,\nhttp://127.0.0.1:9/a.ts\n#EXT-X-ENDLIST\n")
    with pytest.raises(VideoError) as caught, open_video(path):
        pass
    assert caught.value.status in ("error", "no_video")
