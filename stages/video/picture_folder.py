"""Videos that were extracted before: a folder of numbered pictures each, read and checked like a video file."""

from __future__ import annotations

import hashlib
import os
import re
from collections import Counter
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from stages.video.container import VideoError
from stages.video.listing import digest as digest_of_file

if TYPE_CHECKING:
    from av.video.frame import VideoFrame

PICTURES = frozenset((".jpg", ".jpeg", ".png", ".bmp", ".webp"))

_NUMBER = re.compile(r"(\d+)(\D*)$")
_FLOW = re.compile(r"(?<![a-z])flow_?[xyuv]?[^a-z#]*#")
_COMPONENT = re.compile(r"(?<![a-z])[xyuv](?=[^a-z#]*#|$)")
_OTHER = {"x": "y", "y": "x", "u": "v", "v": "u"}


@dataclass(frozen=True)
class PictureFolder:
    """One video. names: of its pictures, by number; numbers: theirs; strays: all else that lies there, flow aside."""

    path: Path
    names: tuple[str, ...]
    numbers: tuple[int, ...]
    strays: tuple[str, ...]

    def sizes(self) -> list[int]:
        """Bytes of each picture. Raises OSError."""
        return [os.stat(self.path / name).st_size for name in self.names]

    def digest(self) -> tuple[int, str]:
        """Size in bytes, and a hash of numbers and sizes of all pictures and of the first, middle and last of them.

        Names do not count: the same pictures are the same video under any name. Raises OSError.
        """
        sizes = self.sizes()
        hasher = hashlib.blake2b(b"pictures", digest_size=16)
        for number, size in zip(self.numbers, sizes):
            hasher.update(f"{number} {size}\n".encode())
        for name in (self.names[0], self.names[len(self.names) // 2], self.names[-1]):
            hasher.update(digest_of_file(self.path / name)[1].encode())
        return sum(sizes), hasher.hexdigest()

    def frames(self) -> Iterator[VideoFrame]:
        """All pictures in order. Raises VideoError (see ``frame``) at the first that is missing, damaged or of another size.

        Numbers may go up in steps, as when every fifth frame was kept; the step that most have is the right one.
        """
        counts = Counter(after - before for before, after in pairwise(self.numbers))
        step = max(sorted(counts), key=counts.__getitem__, default=1)
        size = None
        for index, number in enumerate(self.numbers):
            if index and number != (expected := self.numbers[index - 1] + step):
                raise VideoError("no_frames", f"after picture {expected - step} comes {number}, not {expected}")
            frame = self.frame(index)
            size = size or (frame.width, frame.height)
            if (frame.width, frame.height) != size:
                sizes = f"{frame.width} x {frame.height}, where the first is {size[0]} x {size[1]}"
                raise VideoError("no_frames", f"picture {number} is {sizes}")
            yield frame

    def frame(self, index: int) -> VideoFrame:
        """The ``index``-th picture, as a decoder of a video would put it out.

        Raises VideoError: ``no_frames`` for a damaged picture, ``error`` where the disk does not give it.
        """
        from av.video.frame import VideoFrame
        from numpy import asarray
        from PIL import Image

        try:
            with Image.open(self.path / self.names[index]) as picture:
                pixels = asarray(picture.convert("RGB"))
        except Exception as error:  # PIL fails in any way on a damaged file
            of_disk = isinstance(error, OSError) and error.errno
            reason = error.strerror if of_disk else "it is no picture" if "cannot identify" in str(error) else error
            message = f"picture {self.numbers[index]} cannot be read: {reason}"
            raise VideoError("error" if of_disk else "no_frames", message) from None
        return VideoFrame.from_ndarray(pixels, format="rgb24")


def open_pictures(path: Path) -> PictureFolder:
    """What lies in the folder. Raises VideoError when that cannot be seen, or when it is not clear which pictures are its."""
    try:
        with os.scandir(path) as entries:
            found = sorted((entry.name, entry.is_dir()) for entry in entries if not entry.name.startswith("."))
    except OSError as error:
        raise VideoError("error", f"cannot be read: {error.strerror}") from None
    series, strays = _series(name for name, folder in found if not folder)
    frames = {mask: names for mask, names in series.items() if not _is_flow(mask, series)}
    longest = max(map(len, frames.values()), default=0)
    if longest > 1:  # a single picture of another name, such as a thumbnail, is no second video
        strays += [name for names in frames.values() if len(names) == 1 for _, name in names]
        frames = {mask: names for mask, names in frames.items() if len(names) > 1}
    if not frames:
        raise VideoError("no_frames", "has no numbered pictures of frames")
    if len(frames) > 1:
        shown = " and ".join(sorted(names[0][1] for names in frames.values())[:2])
        raise VideoError("error", f"has pictures of {len(frames)} kinds, such as {shown}: keep those of one")
    (names,) = frames.values()
    names = sorted(names)
    for (number, name), (following, other) in pairwise(names):
        if number == following:
            raise VideoError("error", f"{name} and {other} have the same number: keep one of them")
    strays += [name for name, folder in found if folder]
    numbers, ordered = zip(*names)
    return PictureFolder(path, ordered, numbers, tuple(sorted(strays)))


def has_frames(files: Iterable[str]) -> bool:
    """Whether some of these names are of numbered pictures that are no flow."""
    masks: set[str] = set()
    for name in files:
        if found := _numbered(name):
            if not _FLOW.search(found[0]) and not _COMPONENT.search(found[0]):
                return True  # mostly the first file tells
            masks.add(found[0])
    return any(not _is_flow(mask, masks) for mask in masks)


def is_picture_name(path: str) -> bool:
    """Whether the name's ending is one of a picture."""
    return PurePosixPath(path).suffix.lower() in PICTURES


def _series(files: Iterable[str]) -> tuple[dict[str, list[tuple[int, str]]], list[str]]:
    """Pictures by what their names have in common: number and name of each; and the files that are none."""
    series: dict[str, list[tuple[int, str]]] = {}
    others = []
    for name in files:
        if found := _numbered(name):
            series.setdefault(found[0], []).append((found[1], name))
        else:
            others.append(name)
    return series, others


def _is_flow(mask: str, masks: Collection[str]) -> bool:
    """Extraction scripts put flow beside the frames: ``flow_#``, or ``x_#`` where there is ``y_#`` too."""
    if _FLOW.search(mask):
        return True
    letter = _COMPONENT.search(mask)
    return letter is not None and mask[: letter.start()] + _OTHER[letter[0]] + mask[letter.end() :] in masks


def _numbered(name: str) -> tuple[str, int] | None:
    """``IMG_00012.jpg`` -> ``img_#`` and 12; None for what is no picture, or has no number."""
    stem = name.rpartition(".")[0].lower()
    number = _NUMBER.search(stem) if is_picture_name(name) else None
    return (f"{stem[: number.start()]}#{number[2]}", int(number[1])) if number else None
