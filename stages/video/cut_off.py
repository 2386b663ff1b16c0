"""Signs that a file ends before its container says so: the decoder itself is silent about frames that are not there."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

if TYPE_CHECKING:
    from av.video.stream import VideoStream

_EBML = b"\x1a\x45\xdf\xa3"
_SEGMENT = b"\x18\x53\x80\x67"


def cut_off(path: Path, stream: VideoStream) -> str | None:
    """What is missing at the end of the file, or None.

    MP4 and AVI: samples that the index places beyond the end of the file. Matroska and WebM: a segment longer than
    the file. Sound that is missing does not count for MP4 and AVI.
    """
    size = os.path.getsize(path)
    entries = stream.index_entries
    missing = 0
    for i in range(len(entries) - 1, -1, -1):
        # samples need not lie in order, yet a file that is cut loses the last ones first
        if entries[i].pos + entries[i].size <= size:
            break
        missing += 1
    if missing:
        return f"the file is cut off: {missing} of {len(entries)} frames lie beyond its end"
    with open(path, "rb") as file:
        end = _matroska_end(file)
    if end is not None and end > size:
        return f"the file is cut off: {end - size} of {end} bytes are missing"
    return None


def _matroska_end(file: BinaryIO) -> int | None:
    """Where the segment of a Matroska file ends, in bytes; None for other files and segments of unknown size."""
    if file.read(4) != _EBML:
        return None
    header = _length(file)
    if header is None:
        return None
    file.seek(header, os.SEEK_CUR)
    if file.read(4) != _SEGMENT:
        return None
    length = _length(file)
    return None if length is None else file.tell() + length


def _length(file: BinaryIO) -> int | None:
    """An EBML length: the number of leading zero bits of the first byte tells how many bytes follow; all ones = unknown."""
    first = file.read(1)
    if not first or first[0] == 0:
        return None
    more = 8 - first[0].bit_length()
    rest = file.read(more)
    if len(rest) < more:
        return None
    value = int.from_bytes(bytes([first[0] & (0x7F >> more)]) + rest, "big")
    return None if value == (1 << (7 * (more + 1))) - 1 else value
