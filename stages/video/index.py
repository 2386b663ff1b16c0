"""Checking a video by a full decode, and finding the points from which its frames can be reached without decoding it all.

A point is kept only if a seek to it was tried and gave, picture by picture, what the full decode gave, up to the next
point. So an index can miss points (then reading is slower), but it cannot be off by a frame.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from stages.video.container import (
    VideoError,
    audio_text,
    duration,
    frame_rate,
    open_video,
    quarter_turns,
    stated_frames,
)
from stages.video.cut_off import cut_off
from stages.video.decode import SeekPoints, mark
from stages.video.picture_folder import open_pictures

if TYPE_CHECKING:
    from av.video.frame import VideoFrame

SPACING = 64
"""Frames between two seek points at least. Videos shorter than three times this get none: they decode in no time."""

_DELAY = 24
"""Frames that a decoder may hold back (16 in H.264 and HEVC) and a little more."""


@dataclass
class Checked:
    """What a full decode found out about a video.

    status: ``ok``; ``partial`` (``frames`` frames decode, then comes the first error); ``no_video``; ``no_frames``;
    ``error`` (cannot be opened). problem: what is wrong, or "". width, height: stored size of the first frame, before
    rotation; rotate: clockwise degrees. fps and duration [s] as the container states them, first and last: time stamps [s]. drift: how far a frame is from
    where it would be if all followed one another evenly from first to last [s]: about 0 unless the frame rate varies.
    """

    status: str = "ok"
    problem: str = ""
    width: int = 0
    height: int = 0
    rotate: int = 0
    frames: int = 0
    fps: float = 0.0
    first: float | None = None
    last: float | None = None
    duration: float = 0.0
    drift: float = 0.0
    audio: str = ""
    points: SeekPoints = field(default_factory=SeekPoints.none)

    @property
    def usable(self) -> bool:
        """There is at least one frame."""
        return self.status in ("ok", "partial")

    @property
    def display_size(self) -> tuple[int, int]:
        """(width, height) after rotation, without correction of the pixels' aspect."""
        return (self.width, self.height) if self.rotate % 180 == 0 else (self.height, self.width)


@dataclass
class _Trace:
    """A full decode: mark and time stamp of every frame, and the key packets with the frames that were out before them.

    at_least: frames that a video must promise to be traced; short ones need no seek points, and marks cost time.
    """

    at_least: float
    on: bool = False
    marks: list[int] = field(default_factory=list)
    stamps: list[int | None] = field(default_factory=list)
    keys: list[tuple[int, int]] = field(default_factory=list)


def check(
    path: Path, each: Callable[[Checked, VideoFrame], None] | None = None, spacing: int = SPACING
) -> Checked:
    """Decode a video to its end, or to its first error. Never raises for what is wrong with the file.

    path: a file, or a folder of pictures, whose frame rate stays unknown (0) and which needs no seek points.
    each: called with what is known so far and every frame, in order. spacing: frames between seek points.
    """
    found, trace = Checked(), _Trace(at_least=2 * spacing)
    try:
        if path.is_dir():
            _read_all(path, found, each)
            return found
        _decode_all(path, found, trace, each)
        if found.frames >= 3 * spacing:
            if not trace.on:  # its header promised less
                trace = _Trace(at_least=0)
                _decode_all(path, Checked(), trace, None)
            found.points = _seek_points(path, trace, spacing)
    except VideoError as error:
        found.status, found.problem, found.audio = error.status, str(error), error.audio
    return found


def _decode_all(
    path: Path, found: Checked, trace: _Trace, each: Callable[[Checked, VideoFrame], None] | None
) -> None:
    import av

    with open_video(path) as (container, stream):
        found.width, found.height = stream.codec_context.width, stream.codec_context.height
        found.fps, found.duration = frame_rate(stream), duration(container, stream)
        found.audio = audio_text(container)
        trace.on = stated_frames(container, stream) >= trace.at_least
        problem, times = None, []
        try:
            for packet in container.demux(stream):
                stamp = packet.pts if packet.pts is not None else packet.dts
                if packet.is_keyframe and stamp is not None:
                    trace.keys.append((found.frames, stamp))
                if packet.is_corrupt:
                    problem = problem or f"a packet is damaged or cut short after frame {found.frames}"
                for frame in packet.decode():
                    if found.frames == 0:
                        found.width, found.height = frame.width, frame.height
                        found.rotate, found.first = quarter_turns(frame), frame.time
                    if frame.is_corrupt:
                        problem = problem or f"frame {found.frames} is damaged"
                    found.last = frame.time
                    times.append(frame.time)
                    if each is not None:
                        each(found, frame)
                    if trace.on:
                        trace.marks.append(mark(frame))
                        trace.stamps.append(frame.pts)
                    found.frames += 1
        except (av.error.FFmpegError, EOFError, ValueError, MemoryError) as error:
            problem = f"damaged after frame {found.frames}: {getattr(error, 'strerror', None) or error}"
        found.drift = _drift(times)
        problem = cut_off(path, stream) or problem
    _judge(found, problem, "has a video stream, but no frame can be decoded")


def _drift(times: list[float | None]) -> float:
    """Greatest distance of a time stamp from an even pace between the first and the last [s]; 0 where one is missing."""
    if len(times) < 3 or None in times:
        return 0.0
    stamps = np.sort(np.array(times, np.float64))
    return float(np.abs(stamps - np.linspace(stamps[0], stamps[-1], len(stamps))).max())


def _read_all(path: Path, found: Checked, each: Callable[[Checked, VideoFrame], None] | None) -> None:
    """Read a folder of pictures to its end, or to the first that is no good."""
    pictures, problem = open_pictures(path), None
    try:
        for frame in pictures.frames():
            found.width, found.height = frame.width, frame.height
            if each is not None:
                each(found, frame)
            found.frames += 1
    except VideoError as error:
        if error.status == "error":  # it may be another one next time, so nothing is known of the video
            raise
        problem = str(error)
    _judge(found, problem, "no picture can be used")


def _judge(found: Checked, problem: str | None, nothing: str) -> None:
    """Set the status of a video that was read up to ``problem``. nothing: what to say if it has no frame at all."""
    if found.frames == 0:
        found.status, found.problem = "no_frames", f"{nothing}: {problem}" if problem else nothing
    elif problem:
        found.status, found.problem = "partial", f"{found.frames} frames decode; {problem}"


def _seek_points(path: Path, trace: _Trace, spacing: int) -> SeekPoints:
    """Try a seek to key packets at least ``spacing`` frames apart; keep those that land exactly."""
    chosen: list[tuple[int, int]] = []
    for shown, stamp in trace.keys:
        if shown >= (chosen[-1][0] if chosen else 0) + spacing:
            chosen.append((shown, stamp))
    marks = np.array(trace.marks, np.int64)
    kept: list[tuple[int, int, int, int]] = []
    for i, (shown, stamp) in enumerate(chosen):
        until = chosen[i + 1][0] if i + 1 < len(chosen) else len(marks)
        landed = _try_seek(path, stamp, until - shown + _DELAY)
        hit = _align(landed, marks, trace.stamps, shown)
        if hit is not None and hit[0] > (kept[-1][0] if kept else 0):
            kept.append((hit[0], stamp, hit[1], int(marks[hit[0]])))
    columns = np.array(kept, np.int64).reshape(-1, 4).T.copy()
    return SeekPoints(*columns)


def _try_seek(path: Path, stamp: int, limit: int) -> tuple[list[int], list[int | None], bool]:
    """Marks and time stamps of at most ``limit`` frames after a seek, and whether the video ended there."""
    import av

    marks: list[int] = []
    stamps: list[int | None] = []
    try:
        with open_video(path) as (container, stream):
            container.seek(stamp, stream=stream, backward=True)
            for frame in islice(container.decode(stream), limit):
                marks.append(mark(frame))
                stamps.append(frame.pts)
    except (av.error.FFmpegError, EOFError, VideoError):
        return [], [], False  # seeking is not for this file, or runs into damage: no point here
    return marks, stamps, len(marks) < limit


def _align(
    landed: tuple[list[int], list[int | None], bool], marks: np.ndarray, stamps: list[int | None], shown: int
) -> tuple[int, int] | None:
    """Which frame the landing corresponds to: (its number, frames to drop before it), or None if none or not one only.

    A picture that stands still gives several answers; then the time stamps of the whole run must single one out.
    """
    got, got_stamps, ended = np.array(landed[0], np.int64), landed[1], landed[2]
    for drop in range(min(_DELAY, len(got))):
        run = got[drop:]
        fits = [
            number
            for number in range(max(0, shown - 2), min(shown + _DELAY, len(marks) - len(run)) + 1)
            if marks[number] == run[0]
            and np.array_equal(marks[number : number + len(run)], run)
            and (not ended or number + len(run) == len(marks))
        ]
        if len(fits) > 1:
            fits = [
                n
                for n in fits
                if None not in got_stamps[drop:] and stamps[n : n + len(run)] == got_stamps[drop:]
            ]
        if fits:
            return (fits[0], drop) if len(fits) == 1 else None
    return None
