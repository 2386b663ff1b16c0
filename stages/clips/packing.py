"""How frames are packed, what that costs, and whether the disk has room for it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from stages.video.container import VideoError, open_video, stated_frames
from stages.video.decode import fit
from stages.video.listing import Video
from stages.video.picture_folder import open_pictures
from stages.video.shards import Packing
from stages.video.spec import Pack

SAMPLE = 200
"""Videos whose headers are read for the estimate."""

JPEG_SHARE = 0.15
"""Bytes of a JPEG at the default quality for one byte of the raw frame."""


def estimate_raw_bytes(videos: Sequence[Video], root: Path, short_side: int) -> float:
    """Bytes that the raw frames of all videos would take, from the headers of a sample spread evenly over them.

    Depends on the data set alone, not on what is packed already, so that `auto` decides alike in every run.
    """
    chosen = (
        [videos[i * len(videos) // SAMPLE] for i in range(SAMPLE)] if len(videos) > SAMPLE else list(videos)
    )
    raw = files = 0
    for video in chosen:
        try:
            width, height, frames = _stated(root / video.path)
        except (VideoError, OSError):
            continue  # the check will say what is wrong with it
        width, height = fit(width, height, short_side)
        raw += 3 * width * height * frames
        files += video.size
    return raw * sum(v.size for v in videos) / files if files else 0.0


def _stated(path: Path) -> tuple[int, int, int]:
    """Width, height and number of frames of a video, without decoding it. Raises VideoError."""
    if path.is_dir():
        pictures = open_pictures(path)
        first = pictures.frame(0)
        return first.width, first.height, len(pictures.names)
    with open_video(path) as (container, stream):
        codec = stream.codec_context
        return codec.width, codec.height, stated_frames(container, stream)


def choose_packing(pack: Pack, raw_bytes: float) -> Packing | None:
    """The packing that the spec asks for; `auto` is raw while that stays below the limit, else JPEG."""
    if pack.kind == "none":
        return None
    raw = pack.kind == "raw" or (pack.kind == "auto" and raw_bytes <= pack.limit_gb * 1e9)
    return Packing("raw", pack.short_side) if raw else Packing("jpeg", pack.short_side, pack.quality)


def packed_bytes(packing: Packing, raw_bytes: float) -> float:
    """About how many bytes this packing takes for frames of ``raw_bytes``."""
    return raw_bytes if packing.kind == "raw" else raw_bytes * JPEG_SHARE
