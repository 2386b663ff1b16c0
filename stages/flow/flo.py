"""Middlebury's .flo: the tag, width and height, then float32 u and v of each pixel, row by row; all little-endian."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from stages.flow.problem import FlowProblem

TAG = np.float32(202021.25)
"""The first four bytes, ``PIEH``, as a number."""
UNKNOWN = 1e9
"""Components beyond this mean that the flow of the pixel is not known."""
LONGEST = 1 << 16


def read_flo(path: Path) -> np.ndarray:
    """Flow as float32 [H, W, 2], (u, v) in pixels, unknown components as they are. Raises FlowProblem."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise FlowProblem(f"{path}: cannot be read ({error.strerror})") from None
    if len(content) < 12 or np.frombuffer(content, "<f4", 1)[0] != TAG:
        raise FlowProblem(f"{path}: is not a .flo file: it does not begin with PIEH and a size")
    width, height = (int(side) for side in np.frombuffer(content, "<i4", 2, offset=4))
    if not (0 < width <= LONGEST and 0 < height <= LONGEST):
        raise FlowProblem(f"{path}: is damaged: it says that it is {width} x {height} pixels")
    expected = 12 + 8 * width * height
    if len(content) != expected:
        raise FlowProblem(f"{path}: is damaged: {len(content)} bytes, but {width} x {height} pixels take {expected}")
    return np.frombuffer(content, "<f4", offset=12).reshape(height, width, 2).astype(np.float32)
