"""Reading frames of a video by their number: the n-th frame that a decode from the start puts out is frame n.

Time stamps are not used to address frames: in AVI files with packed B-frames (UCF101) they run backwards, and a seek
by time lands one or two frames off. Instead a seek goes to a point that ``stages.video.index`` has tried and verified, and
frames are counted from there.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from stages.video.container import VideoError, open_video
from stages.video.picture_folder import open_pictures

if TYPE_CHECKING:
    from av.video.frame import VideoFrame

SKIP = 16
"""A seek is worth opening the file again when it saves decoding this many frames."""


@dataclass(frozen=True)
class SeekPoints:
    """Where decoding can begin: seek to ``times[i]``, drop ``drops[i]`` frames, and the next one is frame ``frames[i]``.

    All int64 [points], sorted by frame. ``times`` in the stream's time base; ``marks``: ``mark`` of that frame, by which
    a reader notices that its FFmpeg seeks differently. Frame 0 is always reachable and has no entry.
    """

    frames: np.ndarray
    times: np.ndarray
    drops: np.ndarray
    marks: np.ndarray

    @staticmethod
    def none() -> SeekPoints:
        """Only decoding from the start."""
        empty = np.zeros(0, np.int64)
        return SeekPoints(empty, empty, empty, empty)

    def before(self, frame: int) -> int:
        """Index of the last point at or before ``frame``; -1 is the start of the file."""
        return int(np.searchsorted(self.frames, frame, side="right")) - 1


def read_frames(
    path: Path, numbers: np.ndarray, size: tuple[int, int], rotate: int, points: SeekPoints
) -> np.ndarray:
    """Frames ``numbers`` (int [T], any order, repeats allowed) as RGB uint8 [T, H, W, 3], upright.

    path: a file, or a folder of pictures. size: (width, height) of the result; rotate: clockwise degrees. Only the frames
    asked for are converted and scaled. Raises VideoError when the video cannot be opened or has no such frame.
    """
    wanted, place = np.unique(np.asarray(numbers, np.int64), return_inverse=True)
    found = np.empty((len(wanted), size[1], size[0], 3), np.uint8)
    done = 0
    if path.is_dir():
        _read_pictures(path, wanted, found, rotate)
        done = len(wanted)
    while done < len(wanted):
        try:
            done = _read_run(path, wanted, done, found, rotate, points)
        except _SeekFailed:
            points = SeekPoints.none()
    same_order = len(wanted) == len(place) and np.array_equal(place, np.arange(len(place)))
    return found if same_order else found[place]


def _read_run(
    path: Path, wanted: np.ndarray, done: int, found: np.ndarray, rotate: int, points: SeekPoints
) -> int:
    """Read from one seek on until a later seek point saves work; returns how many of ``wanted`` are there now."""
    size = (found.shape[2], found.shape[1])
    for number, frame in frames_from(path, points, points.before(int(wanted[done]))):
        if number == wanted[done]:
            found[done] = to_rgb(frame, size, rotate)
            done += 1
            if done == len(wanted):
                return done
            jump = points.before(int(wanted[done]))
            if jump >= 0 and points.frames[jump] - number > SKIP:
                return done
    raise _ended(wanted[done])


def _read_pictures(path: Path, wanted: np.ndarray, found: np.ndarray, rotate: int) -> None:
    pictures, size = open_pictures(path), (found.shape[2], found.shape[1])
    if wanted[-1] >= len(pictures.names):
        raise _ended(wanted[-1])
    for i, number in enumerate(wanted.tolist()):
        found[i] = to_rgb(pictures.frame(number), size, rotate)


def _ended(number: int) -> VideoError:
    return VideoError("error", f"frame {number} was asked for, but the video has ended before it")


def frames_from(path: Path, points: SeekPoints, point: int) -> Iterator[tuple[int, VideoFrame]]:
    """Decode from a seek point (-1: from the start): pairs of frame number and frame."""
    import av

    with open_video(path) as (container, stream):
        number, drops = 0, 0
        try:
            if point >= 0:
                container.seek(int(points.times[point]), stream=stream, backward=True)
                number, drops = int(points.frames[point]), int(points.drops[point])
            for frame in container.decode(stream):
                if drops > 0:
                    drops -= 1
                    continue
                if point >= 0:
                    if mark(frame) != points.marks[point]:
                        raise _SeekFailed
                    point = -1
                yield number, frame
                number += 1
        except (av.error.FFmpegError, EOFError) as error:
            raise VideoError("error", f"damaged after frame {number}: {_text(error)}") from None
        if point >= 0:
            raise _SeekFailed


class _SeekFailed(Exception):
    """The frame at a seek point is not the one it was when the index was made."""


def mark(frame: VideoFrame) -> int:
    """CRC-32 of the picture as decoded, without the padding of its rows."""
    if frame.format.name not in _PLANAR_8_BIT:
        return zlib.crc32(np.ascontiguousarray(frame.to_ndarray(format="rgb24", **_one_thread())))
    crc = 0
    for plane in frame.planes:
        rows = np.frombuffer(plane, np.uint8)[: plane.height * plane.line_size].reshape(
            plane.height, plane.line_size
        )
        crc = zlib.crc32(np.ascontiguousarray(rows[:, : plane.width]), crc)
    return crc


_PLANAR_8_BIT = frozenset(
    (
        "gray",
        "yuv420p",
        "yuvj420p",
        "yuv422p",
        "yuvj422p",
        "yuv444p",
        "yuvj444p",
        "yuv411p",
        "yuv410p",
        "gbrp",
    )
)


def fit(width: int, height: int, short_side: int) -> tuple[int, int]:
    """Size with the proportions of (width, height) and this short side; a picture that is smaller keeps its size."""
    short = min(width, height)
    if short <= short_side:
        return width, height
    return max(1, round(width * short_side / short)), max(1, round(height * short_side / short))


def to_rgb(frame: VideoFrame, size: tuple[int, int], rotate: int) -> np.ndarray:
    """Convert one frame to RGB uint8 [height, width, 3] of ``size`` (width, height), turned clockwise by ``rotate``.

    Bilinear with support scaled to the reduction, so that a smaller picture does not alias.
    """
    width, height = size if rotate % 180 == 0 else (size[1], size[0])
    picture = frame.reformat(
        width, height, "rgb24", interpolation="BILINEAR",
        src_color_range=frame.color_range, dst_color_range="JPEG", **_one_thread(),
    ).to_ndarray()  # fmt: skip
    return picture if rotate == 0 else np.rot90(picture, -(rotate // 90))


@cache
def _one_thread() -> dict[str, int]:
    """The argument that keeps newer PyAV from starting a scaling thread for every core in every worker."""
    from av.video.reformatter import VideoReformatter

    return {"threads": 1} if "threads" in (VideoReformatter.reformat.__doc__ or "") else {}


def _text(error: Exception) -> str:
    return getattr(error, "strerror", None) or str(error) or type(error).__name__
