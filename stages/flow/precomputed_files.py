"""Finding the files of one video's flow in the folders that extraction scripts leave, in the order of their numbers."""

from __future__ import annotations

import re
from collections.abc import Iterable
from itertools import pairwise
from pathlib import Path, PurePosixPath

from stages.flow.problem import FlowProblem

PICTURES = (".jpg", ".jpeg", ".png", ".bmp")
_COMPONENT = re.compile(r"(?:^|flow|[^a-z])([xyuv])(?![a-z])")
_FOLDERS = (("u", "v"), ("x", "y"), ("flow_u", "flow_v"), ("flow_x", "flow_y"))


def names_of(video: str) -> list[str]:
    """What the flow of a video may be called below the root: ``a/b/c.avi`` -> ``a/b/c``, ``b/c``, ``c``."""
    parts = PurePosixPath(video).with_suffix("").parts
    return ["/".join(parts[i:]) for i in range(len(parts))]


def folder_of(root: Path, video: str) -> Path:
    """The folder of a video's flow. Raises FlowProblem when there is none."""
    for name in names_of(video):
        if (root / name).is_dir():
            return root / name
    names = names_of(video)
    raise FlowProblem(
        f"{root / names[0]}: no such folder, and no {names[-1]} in {root} either: extract the video's flow"
    )


def plane_files(root: Path, video: str) -> list[tuple[Path, Path]]:
    """The pictures of u and v of each field.

    They lie in one folder, the component in the name (``flow_x_00001.jpg``, ``img_00001_x.jpg``), in a folder for each
    component inside the video's, or in the video's folder inside a folder for each component. Raises FlowProblem.
    """
    for name in names_of(video):
        for u, v in _FOLDERS:
            if (root / u / name).is_dir() and (root / v / name).is_dir():
                return _together(root / u / name, _pictures(root / u / name), _pictures(root / v / name))
    folder = folder_of(root, video)
    for u, v in _FOLDERS:
        if (folder / u).is_dir() and (folder / v).is_dir():
            return _together(folder, _pictures(folder / u), _pictures(folder / v))
    planes: dict[str, list[Path]] = {component: [] for component in "xyuv"}
    for path in _pictures(folder):
        name = path.stem.lower().removeprefix(folder.name.lower())  # UCF101's own names begin with v_
        if found := _COMPONENT.findall(name):
            planes[found[-1]].append(path)
    if (planes["x"] or planes["y"]) and (planes["u"] or planes["v"]):
        raise FlowProblem(f"{folder}: has pictures of x and y and of u and v; keep those of one extraction")
    return _together(folder, planes["x"] or planes["u"], planes["y"] or planes["v"])


def numbered_files(folder: Path, suffixes: tuple[str, ...]) -> list[Path]:
    """Files of a folder with one of these suffixes, by the last number in their names. Raises FlowProblem."""
    found = _by_number(_files(folder, suffixes))
    _check_gaps(folder, found)
    return list(found.values())


def _pictures(folder: Path) -> list[Path]:
    return _files(folder, PICTURES)


def _files(folder: Path, suffixes: tuple[str, ...]) -> list[Path]:
    paths = (path for path in folder.iterdir() if path.suffix.lower() in suffixes)
    return sorted(path for path in paths if not path.name.startswith("."))


def _together(folder: Path, u: Iterable[Path], v: Iterable[Path]) -> list[tuple[Path, Path]]:
    first, second = _by_number(u), _by_number(v)
    if first.keys() != second.keys():
        number = min(first.keys() ^ second.keys())
        have, lacks = ("u", "v") if number in first else ("v", "u")
        raise FlowProblem(
            f"{folder}: {len(first)} pictures of u and {len(second)} of v; number {number} has {have} but not {lacks}: "
            "extract its flow again"
        )
    _check_gaps(folder, first)
    return list(zip(first.values(), second.values()))


def _by_number(paths: Iterable[Path]) -> dict[int, Path]:
    """Paths by the last number in their names, ascending, one for each number."""
    found: dict[int, Path] = {}
    for path in paths:
        digits = re.findall(r"\d+", path.stem)
        if not digits:
            raise FlowProblem(f"{path}: has no number in its name; name it by its frame, or take it away")
        other = found.setdefault(int(digits[-1]), path)
        if other != path:
            raise FlowProblem(f"{path}: has the same number as {other.name}; keep one of them")
    return dict(sorted(found.items()))


def _check_gaps(folder: Path, numbers: Iterable[int]) -> None:
    for before, after in pairwise(numbers):
        if after != before + 1:
            raise FlowProblem(f"{folder}: flow {before} is followed by {after}: extract what is missing")
