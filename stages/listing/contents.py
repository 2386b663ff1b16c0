"""What lies below the root of a data set: which of it are videos, and finding them as lists name them."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path, PurePosixPath

from stages.video.picture_folder import has_frames, is_picture_name

VIDEO_SUFFIXES = frozenset(
    (
        *(
            ".3g2",
            ".3gp",
            ".apng",
            ".asf",
            ".avi",
            ".divx",
            ".dv",
            ".f4v",
            ".flv",
            ".gif",
            ".ivf",
            ".m1v",
            ".m2ts",
        ),
        *(".m2v", ".m4v", ".mjpeg", ".mjpg", ".mkv", ".mov", ".mp4", ".mpe", ".mpeg", ".mpg", ".mts", ".mxf"),
        *(".nut", ".ogm", ".ogv", ".qt", ".rm", ".rmvb", ".ts", ".vob", ".webm", ".wmv", ".y4m"),
    )
)

_FRAMES = ("frames", "frame", "rawframes", "jpegs_256", "jpegs", "images", "rgb")
"""Folders below the root in which extracted frames usually lie."""


@dataclass(frozen=True)
class Contents:
    """paths: posix, relative to the root, sorted by folder. pictures: whether videos are folders of pictures.

    Then a folder stands in ``paths`` instead of its files, and ``folders`` has those folders. Names are compared, never
    globbed.
    """

    paths: tuple[str, ...]
    pictures: bool = False
    folders: frozenset[str] = frozenset()

    def is_video(self, path: str) -> bool:
        """Whether one of the paths is a video: a folder of pictures, or a file whose ending is one of a video."""
        return path in self.folders if self.pictures else is_video_name(path)

    def __contains__(self, path: str) -> bool:
        """Whether there is such a file, or such a folder of pictures."""
        return path in self._exact

    @cached_property
    def by_stem(self) -> dict[str, list[str]]:
        """Videos by their names without the ending of a file."""
        stems: dict[str, list[str]] = {}
        for path in self.paths:
            if self.is_video(path):
                stems.setdefault(self._stem(path), []).append(path)
        return stems

    def find(self, named: str, below: Sequence[str] = ("",)) -> str | None:
        """The path that a list calls ``named``: exactly that below one of the folders ``below``; else the only video
        with the same folder and name in other case or with another ending; else None.

        Copies of data sets differ in case, in endings and in outer folders. Folders of pictures have no endings, and the
        list may name them or the files that they were extracted from.
        """
        pure = PurePosixPath(named)
        names = (pure, pure.with_suffix("")) if self.pictures and pure.suffix else (pure,)
        for folder in (*below, *_FRAMES) if self.pictures else below:
            for name in names:
                if (path := str(PurePosixPath(folder) / name)) in self:
                    return path
        for name in dict.fromkeys((pure.name, pure.stem)) if self.pictures else (pure.stem,):
            hits = self._loose.get((pure.parent.name.lower(), name.lower()), [])
            if hits:
                return hits[0] if len(hits) == 1 else None
        return None

    def _stem(self, path: str) -> str:
        pure = PurePosixPath(path)
        return pure.name if self.pictures else pure.stem

    @cached_property
    def _exact(self) -> frozenset[str]:
        return self.folders if self.pictures else frozenset(self.paths)

    @cached_property
    def _loose(self) -> dict[tuple[str, str], list[str]]:
        loose: dict[tuple[str, str], list[str]] = {}
        for path in self.paths:
            if self.is_video(path):
                key = PurePosixPath(path).parent.name.lower(), self._stem(path).lower()
                loose.setdefault(key, []).append(path)
        return loose


def contents_of(root: Path, pictures: bool) -> Contents:
    """Walk through all folders below ``root``."""
    paths: list[str] = []
    folders: list[str] = []
    for folder, files in _walk(root):
        if pictures and has_frames(files):
            paths.append(str(folder))
            folders.append(str(folder))
        else:
            # pictures outside of videos are of flow, or a cover: nothing to remark on each of thousands
            paths += [str(folder / name) for name in files if not (pictures and is_picture_name(name))]
    return Contents(tuple(paths), pictures, frozenset(folders))


def is_video_name(path: str) -> bool:
    """Whether the name's ending is one of a video."""
    return PurePosixPath(path).suffix.lower() in VIDEO_SUFFIXES


def _walk(root: Path) -> Iterator[tuple[PurePosixPath, list[str]]]:
    """Folders below ``root``, outer ones first, relative to it, and the files of each, sorted; hidden ones are left out.

    Links are followed; a folder that was seen already (a link to a parent) is not entered again.
    """
    seen: set[tuple[int, int]] = set()
    for folder, folders, files in os.walk(root, followlinks=True):
        status = os.stat(folder)
        if (status.st_dev, status.st_ino) in seen:
            folders.clear()
            continue
        seen.add((status.st_dev, status.st_ino))
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        yield PurePosixPath(Path(folder).relative_to(root)), sorted(n for n in files if not n.startswith("."))
