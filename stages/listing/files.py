"""Looking at folders: which videos are there, and reading lists written by many hands. Names are compared, never globbed."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path, PurePosixPath

from engine.errors import UserError
from stages.video.listing import digest

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


def walk(root: Path, below: str = "") -> Iterator[str]:
    """Paths of all files below ``root/below``, posix and relative to root, sorted by folder; hidden ones are left out.

    Links are followed; a folder that was seen already (a link to a parent) is not entered again.
    """
    seen: set[tuple[int, int]] = set()
    for folder, folders, files in os.walk(root / below, followlinks=True):
        status = os.stat(folder)
        if (status.st_dev, status.st_ino) in seen:
            folders.clear()
            continue
        seen.add((status.st_dev, status.st_ino))
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        relative = PurePosixPath(Path(folder).relative_to(root))
        for name in sorted(files):
            if not name.startswith("."):
                yield str(relative / name)


def is_video_name(path: str) -> bool:
    """Whether the name's ending is one of a video."""
    return PurePosixPath(path).suffix.lower() in VIDEO_SUFFIXES


def digests(root: Path, paths: Sequence[str]) -> list[tuple[int, str] | str]:
    """Size and digest of each file, or why it cannot be read."""

    def one(path: str) -> tuple[int, str] | str:
        try:
            if not (root / path).is_file():
                return "is not a regular file"  # opening a pipe would wait for ever
            path.encode()
            return digest(root / path)
        except UnicodeEncodeError:
            return "its name is not UTF-8 text; rename it"
        except OSError as error:
            return f"cannot be read: {error.strerror}"

    with ThreadPoolExecutor(8) as pool:  # waits for the disk, which may be far away
        return list(pool.map(one, paths, chunksize=64))


def where(root: Path, file: Path, line: int | None = None) -> str:
    """``splits/trainlist01.txt:12``: a place in a list, relative to the root, so that it may stand in results."""
    name = PurePosixPath(os.path.relpath(file, root)).as_posix()
    return name if line is None else f"{name}:{line}"


def lines(path: Path) -> Iterator[tuple[int, str]]:
    """Numbered lines of a list that are not empty, without line ends (CR LF too), outer blanks and a byte order mark."""
    for number, line in enumerate(read_text(path).split("\n"), 1):
        if line.strip():
            yield number, line.strip()


def read_text(path: Path) -> str:
    """The text of a list. Raises UserError when it cannot be read or is not UTF-8."""
    try:
        return path.read_bytes().decode("utf-8-sig")
    except OSError as error:
        raise UserError(f"{path}: {error.strerror}") from None
    except UnicodeDecodeError as error:
        raise UserError(f"{path}: not UTF-8 text (byte {error.start}); save it as UTF-8") from None


def first_folder(root: Path, names: Sequence[str], holding: str) -> Path:
    """The first of the folders ``root/name`` that has a file named ``holding``. Raises UserError when none has."""
    for name in names:
        if (root / name / holding).is_file():
            return root / name
    places = ", ".join(str(root / name) for name in names)
    raise UserError(
        f"{holding} was not found in {places}. Put it there, or name its folder by `lists` in the spec's data"
    )


def read_classes_file(root: Path, name: str) -> tuple[str, ...]:
    """Class names, one a line, in order. Raises UserError when one stands there twice or there are none."""
    names = [line for _, line in lines(root / name)]
    twice = sorted({n for n in names if names.count(n) > 1})
    if twice or not names:
        raise UserError(
            f"{root / name}: " + (f"class {twice[0]!r} stands there twice" if twice else "no class names")
        )
    return tuple(names)


class Lookup:
    """Finds files as lists name them, although copies of data sets differ in case, in endings and in outer folders."""

    def __init__(self, paths: Sequence[str]) -> None:
        self._exact = set(paths)
        self._loose: dict[tuple[str, str], list[str]] = {}
        for path in paths:
            if is_video_name(path):
                pure = PurePosixPath(path)
                self._loose.setdefault((pure.parent.name.lower(), pure.stem.lower()), []).append(path)

    def find(self, named: str, below: Sequence[str] = ("",)) -> str | None:
        """The path that a list calls ``named``: exactly that below one of the folders ``below``; else the only video
        with the same folder and name in other case or with another ending; else None."""
        for folder in below:
            path = str(PurePosixPath(folder) / named)
            if path in self._exact:
                return path
        pure = PurePosixPath(named)
        hits = self._loose.get((pure.parent.name.lower(), pure.stem.lower()), [])
        return hits[0] if len(hits) == 1 else None
