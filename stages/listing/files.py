"""Reading lists written by many hands, and looking at the files that they name."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from engine.errors import UserError
from stages.video.container import VideoError
from stages.video.listing import digest
from stages.video.picture_folder import open_pictures


@dataclass(frozen=True)
class Seen:
    """A video that is there: its size in bytes, its digest, and what else lies in its folder, if it is one of pictures."""

    size: int
    digest: str
    strays: tuple[str, ...] = ()


def look_at(root: Path, paths: Sequence[str]) -> list[Seen | str]:
    """Look at each video, a file or a folder of pictures; a text says why it cannot be read."""

    def one(path: str) -> Seen | str:
        try:
            path.encode()
            if (root / path).is_dir():
                pictures = open_pictures(root / path)
                return Seen(*pictures.digest(), pictures.strays)
            if not (root / path).is_file():
                return "is not a regular file"  # opening a pipe would wait for ever
            return Seen(*digest(root / path))
        except UnicodeEncodeError:
            return "its name is not UTF-8 text; rename it"
        except VideoError as error:
            return str(error)
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
