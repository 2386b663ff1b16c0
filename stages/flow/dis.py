"""Dense inverse search (Kroeger et al. 2016) by OpenCV, several pairs at once."""

from __future__ import annotations

import importlib
import math
from concurrent.futures import ThreadPoolExecutor
from types import ModuleType
from typing import TYPE_CHECKING

import numpy as np

from engine.errors import UserError

if TYPE_CHECKING:
    from stages.video.flow_spec import Dis

SHORTEST = 12
"""OpenCV refuses pictures with shorter sides."""
FLATTEST = 0.4
"""It chooses the smallest scale of small pictures by their width alone, and of one that is less high for its width than
this, nothing is left there to match: it crashes."""


class DisFlow:
    """Frames uint8 [T, H, W, 3] RGB -> float32 [T - 1, H, W, 2], (u, v) in pixels."""

    def __init__(self, config: Dis, threads: int) -> None:
        """Raises UserError when OpenCV is missing."""
        self._cv2 = open_cv()
        self._preset = getattr(self._cv2, f"DISOPTICAL_FLOW_PRESET_{config.preset.upper()}")
        self._threads = threads

    def __call__(self, frames: np.ndarray) -> np.ndarray:
        count, height, width = frames.shape[:3]
        if count < 2:
            return np.zeros((0, height, width, 2), np.float32)
        greys = [self._cv2.cvtColor(frame, self._cv2.COLOR_RGB2GRAY) for frame in np.ascontiguousarray(frames)]
        least = (max(SHORTEST, math.ceil(FLATTEST * max(width, SHORTEST))), SHORTEST)
        margins = [(0, max(shortest - size, 0)) for shortest, size in zip(least, (height, width))]
        greys = [np.pad(grey, margins, mode="edge") for grey in greys]
        # pairs run beside each other, which OpenCV's own threads within a pair would only disturb
        before = self._cv2.getNumThreads()
        self._cv2.setNumThreads(1)
        try:
            with ThreadPoolExecutor(self._threads) as pool:
                fields = list(pool.map(self._pair, greys, greys[1:]))
        finally:
            self._cv2.setNumThreads(before)
        return np.stack(fields)[:, :height, :width]

    def _pair(self, first: np.ndarray, second: np.ndarray) -> np.ndarray:
        return self._cv2.DISOpticalFlow_create(self._preset).calc(first, second, None)


def open_cv() -> ModuleType:
    """OpenCV. Raises UserError when it is missing."""
    try:
        return importlib.import_module("cv2")
    except ImportError as error:
        raise UserError(f"OpenCV cannot be imported ({error}). Install it: pip install 'vidspec[flow]'") from None
