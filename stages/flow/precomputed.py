"""Reading flow that was extracted before: one video at a time, in pixels of the size at which its frames are used."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np

from stages.flow.flo import UNKNOWN, read_flo
from stages.flow.precomputed_files import PICTURES, folder_of, names_of, numbered_files, plane_files
from stages.flow.problem import FlowProblem

if TYPE_CHECKING:
    from stages.video.flow_spec import Precomputed

Reader = Callable[[], np.ndarray]
"""Reads one field: float32 [H, W, 2] in pixels of its own size. Raises FlowProblem."""

RED = 128
"""Red of a picture as CoCLR's packages hold it: their third channel, which is always the byte of no motion."""
RED_NOISE = 24
"""Mean distance from it that JPEG does not explain."""


def read_precomputed(
    root: Path, video_path: str, algorithm: Precomputed, bound: float, frames: int, size: tuple[int, int]
) -> np.ndarray:
    """All fields of a video, float32 [frames - 1, H, W, 2], of which ``iterate_precomputed`` yields one by one."""
    fields = list(iterate_precomputed(root, video_path, algorithm, bound, frames, size))
    return np.stack(fields) if fields else np.zeros((0, size[1], size[0], 2), np.float32)


def iterate_precomputed(
    root: Path, video_path: str, algorithm: Precomputed, bound: float, frames: int, size: tuple[int, int]
) -> Iterator[np.ndarray]:
    """The fields of a video, from each frame to the next, one by one: float32 [H, W, 2], (u, v).

    root: folder of all flow. video_path: the video's path below its own root; its flow is called the same without the
    suffix, and may lack leading folders. bound: pixels, of the extraction's size, that bytes 0 and 255 of pictures mean
    (-bound and bound). frames: of the video. size: (width, height) of the result; fields of another size are scaled,
    and their vectors with them.
    Raises FlowProblem when the flow is not there, cannot be read, or is not that of so many frames.
    """
    if frames < 2:
        return
    readers = _readers(root, video_path, algorithm.layout, bound)
    if len(readers) not in (frames - 1, frames):  # some scripts store one more, which leads nowhere
        raise FlowProblem(
            f"{root / names_of(video_path)[0]}: {len(readers)} flow fields for a video of {frames} frames, where "
            f"{frames - 1} are expected: extract its flow again, from the same file"
        )
    for read in readers[: frames - 1]:
        yield _scaled(read(), size)


def _readers(
    root: Path, video: str, layout: Literal["planes", "three_channel", "flo", "npy"], bound: float
) -> list[Reader]:
    """A reader for each field of a video, in order."""
    if layout == "planes":
        return [partial(_planes, u, v, bound) for u, v in plane_files(root, video)]
    if layout == "three_channel":
        return [partial(_three_channel, path, bound) for path in numbered_files(folder_of(root, video), PICTURES)]
    if layout == "flo":
        return [partial(_flo, path) for path in numbered_files(folder_of(root, video), (".flo",))]
    whole = [root / f"{name}.npy" for name in names_of(video) if (root / f"{name}.npy").is_file()]
    if not whole:
        folder = folder_of(root, video)
        whole = sorted(folder.glob("*.npy"))
        if len(whole) != 1:
            return [partial(_npy, path) for path in numbered_files(folder, (".npy",))]
    fields = _array(whole[0])
    fields = fields if fields.ndim == 4 else fields[None]
    return [partial(_checked, field, whole[0]) for field in fields]


def _planes(u: Path, v: Path, bound: float) -> np.ndarray:
    planes = [_picture(path, "L") for path in (u, v)]
    if planes[0].shape != planes[1].shape:
        raise FlowProblem(f"{u} and {v.name}: are not of one size: extract the flow again")
    return _from_bytes(np.stack(planes, axis=-1), bound)


def _three_channel(path: Path, bound: float) -> np.ndarray:
    """The file holds (u, v, 128) in OpenCV's order, which is (128, v, u) as RGB."""
    picture = _picture(path, "RGB")
    distance = float(np.abs(picture[..., 0].astype(np.float32) - RED).mean())
    if distance > RED_NOISE:
        raise FlowProblem(
            f"{path}: is not flow as CoCLR's packages hold it: its red is not {RED} but {distance:.0f} away from it. "
            "Where u and v are pictures of their own, the layout is `planes`"
        )
    return _from_bytes(picture[..., :0:-1], bound)


def _flo(path: Path) -> np.ndarray:
    return _checked(read_flo(path), path)


def _npy(path: Path) -> np.ndarray:
    array = _array(path)
    if array.ndim != 3:
        raise FlowProblem(f"{path}: is of shape {array.shape}, where one flow is [2, H, W] or [H, W, 2]")
    return _checked(array, path)


def _array(path: Path) -> np.ndarray:
    """An array of floats with a side of 2 for u and v, mapped and not yet read: [(T,) H, W, 2]."""
    try:
        array = np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise FlowProblem(f"{path}: cannot be read as an array ({error})") from None
    if array.ndim in (3, 4) and array.dtype.kind == "f":
        if array.shape[-1] == 2:
            return array
        if array.shape[-3] == 2:
            return np.moveaxis(array, -3, -1)
    raise FlowProblem(f"{path}: is {array.dtype} {array.shape}, not floats [(T,) 2, H, W] or [(T,) H, W, 2] in pixels")


def _checked(field: np.ndarray, path: Path) -> np.ndarray:
    field = np.asarray(field, np.float32)
    if not (np.abs(field) < UNKNOWN).all():  # false for NaN too
        raise FlowProblem(f"{path}: has vectors that are not known or not finite: extract its flow again")
    return field


def _picture(path: Path, mode: Literal["L", "RGB"]) -> np.ndarray:
    from PIL import Image

    try:
        with Image.open(path) as picture:
            return np.asarray(picture.convert(mode))
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise FlowProblem(f"{path}: cannot be read as a picture ({error}): extract the flow again") from None


def _from_bytes(stored: np.ndarray, bound: float) -> np.ndarray:
    """0 is -bound and 255 is bound, as the scripts have it; no motion falls between two bytes."""
    return stored.astype(np.float32) * np.float32(2 * bound / 255) - np.float32(bound)


def _scaled(field: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """The field at another size (width, height), averaged where that is smaller, in that size's pixels."""
    from PIL import Image

    height, width = field.shape[:2]
    if (width, height) == size:
        return field
    planes = []
    for part, ratio in ((0, size[0] / width), (1, size[1] / height)):
        plane = Image.fromarray(np.ascontiguousarray(field[..., part]))
        planes.append(np.asarray(plane.resize(size, Image.Resampling.BILINEAR)) * np.float32(ratio))
    return np.stack(planes, axis=-1)
