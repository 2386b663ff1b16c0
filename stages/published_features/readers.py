"""Feature files of others: which video each is of, and what is in it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.errors import UserError
from stages.published_features.spec import Container
from stages.tal.results_json import id_of_name, id_of_path
from stages.video.listing import digest


class FeatureError(Exception):
    """What should be features of a video is something else, or damaged."""


@dataclass(frozen=True)
class FeatureFile:
    """Features of one video: name and digest of the file; entry: where it lies in the file, "" if it is all of it."""

    path: Path
    digest: str
    entry: str = ""

    @property
    def text(self) -> str:
        return f"{self.path}[{self.entry}]" if self.entry else str(self.path)


def find_features(root: Path, container: Container, videos: Iterable[str]) -> dict[str, FeatureFile]:
    """The features of each of ``videos`` (paths in the listing) that has some, by path.

    Raises UserError when there is no such folder or file, or two files are of one video.
    """
    place = root / container.file
    if container.format == "hdf5":
        entries = _hdf5_entries(place)
        mark = digest(place)[1]
        found = {entry: FeatureFile(place, mark, entry) for entry in entries}
    else:
        if not place.is_dir():
            raise UserError(
                f"{place} is no folder: published features of format {container.format} are files in one"
            )
        found = {path.stem: FeatureFile(path, "") for path in sorted(place.glob(f"*.{container.format}"))}
    by_id: dict[str, str] = {}
    for name in found:
        if other := by_id.get(id_of_name(name)):
            raise UserError(f"{place}: {other} and {name} are of the same video: remove one")
        by_id[id_of_name(name)] = name
    ids = {video: id_of_path(video) for video in videos}
    chosen = {video: found[by_id[name]] for video, name in ids.items() if name in by_id}
    return {
        video: file if file.digest else FeatureFile(file.path, digest(file.path)[1])
        for video, file in chosen.items()
    }


@contextmanager
def feature_reader(container: Container) -> Iterator[Callable[[FeatureFile], NDArray[np.float32]]]:
    """Within it, a function that reads features, float32 [rows, D]. It raises FeatureError for what are no features."""
    if container.format != "hdf5":
        read = _read_npy if container.format == "npy" else _read_csv
        yield lambda file: _checked(read(file.path), file, container)
        return
    opened: dict[Path, Any] = {}

    def from_hdf5(file: FeatureFile) -> NDArray[np.float32]:
        if file.path not in opened:
            opened[file.path] = _opened_hdf5(file.path)
        return _checked(read_entry(opened[file.path], file), file, container)

    try:
        yield from_hdf5
    finally:
        for handle in opened.values():
            handle.close()


def _checked(values: NDArray, file: FeatureFile, container: Container) -> NDArray[np.float32]:
    if values.ndim != 2 or not values.size or values.dtype.kind not in "fiu":
        raise FeatureError(
            f"{file.text} must be a table of numbers with two axes, not {values.dtype} {list(values.shape)}"
        )
    if not np.isfinite(values).all():
        raise FeatureError(f"{file.text} has values that are not finite")
    return np.asarray(values.T if container.layout == "columns" else values, np.float32)


def _read_npy(path: Path) -> NDArray:
    try:
        return np.load(path, allow_pickle=False)
    except (ValueError, EOFError, OSError) as error:
        raise FeatureError(f"{path} cannot be read as an array: {error}") from None


def _read_csv(path: Path) -> NDArray:
    try:
        with path.open(encoding="utf-8") as file:
            names = file.readline()
            if _all_numbers(names):
                raise FeatureError(
                    f"{path} begins with a line of numbers, where the names of the columns are expected: put a line of "
                    "names before it, or that row of features would be lost"
                )
            return np.loadtxt(file, delimiter=",", ndmin=2, dtype=np.float32)
    except (ValueError, OSError) as error:
        raise FeatureError(f"{path} cannot be read as a table with one line of names: {error}") from None


def _all_numbers(line: str) -> bool:
    """Whether a line of a csv file is a row of features. Names that are whole numbers in order, 0,1,2 ..., are names."""
    cells = [cell.strip().strip('"') for cell in line.split(",")]
    if any(cells == [str(first + n) for n in range(len(cells))] for first in (0, 1)):
        return False
    try:
        return bool([float(cell) for cell in cells])
    except ValueError:
        return False


def read_entry(opened: Mapping[str, Any], file: FeatureFile) -> NDArray:
    """The array of one entry of an open HDF5 file. Raises FeatureError where there is none, or it is damaged.

    h5py raises OSError for damaged chunks and unknown compression, KeyError for links that lead nowhere and objects
    that cannot be opened, TypeError or ValueError for types that numpy has not.
    """
    try:
        entry = opened[file.entry]
        if not hasattr(entry, "shape"):
            raise FeatureError(f"{file.text} is a group, not an array")
        return np.asarray(entry)
    except (OSError, KeyError, TypeError, ValueError) as error:
        raise FeatureError(f"{file.text} cannot be read as an array: {error}") from None


def _hdf5_entries(path: Path) -> list[str]:
    """Names of all entries of an HDF5 file."""
    with _opened_hdf5(path) as file:
        try:
            return list(file.keys())
        except (OSError, RuntimeError, KeyError) as error:
            raise UserError(_no_hdf5(path, error)) from None


def _opened_hdf5(path: Path) -> Any:
    """An ``h5py.File``. Raises UserError for what is none."""
    package = _h5py()
    try:
        return package.File(path, "r")
    except OSError as error:
        raise UserError(_no_hdf5(path, error)) from None


def _no_hdf5(path: Path, error: Exception) -> str:
    return f"{path} cannot be read as an HDF5 file: {error}. Is it whole, and `file` the right name?"


def _h5py() -> Any:
    try:
        import h5py
    except ImportError:
        raise UserError(
            "features in an hdf5 file need the package h5py, which is not installed: `pip install h5py`"
        ) from None
    return h5py
