"""Opening a video file and what its container says. The container is believed only where nothing better is known."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from av.container import InputContainer
    from av.video.frame import VideoFrame
    from av.video.stream import VideoStream


_OPTIONS = {"protocol_whitelist": "file"}


class VideoError(Exception):
    """A file that yields no frames. ``status``: ``error`` (cannot be opened), ``no_video`` or ``no_frames``.

    audio: what ``audio_text`` says, where the file could be opened.
    """

    def __init__(self, status: str, message: str, audio: str = "") -> None:
        super().__init__(message)
        self.status = status
        self.audio = audio

    def __reduce__(self) -> tuple:
        return VideoError, (self.status, str(self), self.audio)


@contextmanager
def open_video(path: Path) -> Iterator[tuple[InputContainer, VideoStream]]:
    """Open ``path`` with its first video stream that is not a cover picture, decoded by one thread.

    One thread is faster on clips of small frames, and its errors come at the same frame every time. Only local files are
    opened, whatever a playlist inside the file may name. Raises VideoError.
    """
    import av

    av.logging.set_level(av.logging.PANIC)  # FFmpeg's remarks on damaged files; ours are in problems.csv
    try:
        # "file:" keeps names such as "-x.mp4" or "concat:a" from being read as something else
        container = av.open(f"file:{os.path.abspath(path)}", metadata_errors="replace", options=_OPTIONS)
    except (av.error.FFmpegError, OSError, ValueError) as error:
        raise VideoError("error", _reason_not_opened(path, error)) from None
    with container:
        cover = av.stream.Disposition.attached_pic
        streams = [
            s for s in container.streams.video if not s.disposition & cover and s.codec_context is not None
        ]
        if not streams:
            raise VideoError("no_video", _reason_no_video(container), audio_text(container))
        stream = streams[0]
        stream.thread_type = "NONE"
        stream.codec_context.thread_count = 1
        yield container, stream


def audio_text(container: InputContainer) -> str:
    """``codec/rate/channels`` of the first audio stream, or ""."""
    for stream in container.streams.audio:
        codec = stream.codec_context
        if codec is not None:
            return f"{codec.name}/{codec.sample_rate}/{codec.layout.nb_channels}"
    return ""


def quarter_turns(frame: VideoFrame) -> int:
    """Clockwise rotation that the frame needs for display: 0, 90, 180 or 270 degrees.

    Display matrices that are no rotation by a quarter turn (damaged ones, skewed ones) are ignored.
    """
    degrees = -frame.rotation % 360
    nearest = round(degrees / 90) * 90
    return nearest % 360 if abs(degrees - nearest) <= 1 else 0


def frame_rate(stream: VideoStream) -> float:
    """Frames a second: the average that the container states or the demuxer computed, else its guess; 0 if unknown."""
    rate = stream.average_rate or stream.guessed_rate or Fraction(0)
    return float(rate)


def duration(container: InputContainer, stream: VideoStream) -> float:
    """Seconds as stated for the video stream, else for the file; 0 if neither is stated."""
    if stream.duration and stream.time_base:
        return float(stream.duration * stream.time_base)
    return container.duration / 1_000_000 if container.duration else 0.0


def stated_frames(container: InputContainer, stream: VideoStream) -> int:
    """A guess of the number of frames without decoding, for estimates of cost only."""
    guess = stream.frames or int(duration(container, stream) * frame_rate(stream))
    size = os.path.getsize(container.name.removeprefix("file:"))
    return max(1, min(guess or size // 4096, size // 16))  # no codec says a frame in under 16 bytes for long


def _reason_not_opened(path: Path, error: Exception) -> str:
    try:
        if os.path.getsize(path) == 0:
            return "the file is empty (0 bytes)"
        with open(path, "rb") as file:
            head = file.read(12)
    except OSError as failure:
        return f"cannot be read: {failure.strerror}"
    if head[4:8] in (b"ftyp", b"mdat", b"wide", b"free"):
        return "cannot be opened: the moov box (the index at the end of an MP4) is missing or damaged; the file is cut off"
    text = getattr(error, "strerror", None) or str(error)
    return f"cannot be opened: it is not a video that FFmpeg knows, or it is damaged ({text})"


def _reason_no_video(container: InputContainer) -> str:
    if container.streams.video:
        return "has no video, only a cover picture and sound"
    return "has no video, only sound" if container.streams.audio else "has no video stream"
