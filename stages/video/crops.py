"""The squares of a picture that an evaluation looks at: the middle, or middle and corners, mirrored as well."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np


@dataclass(frozen=True)
class Square:
    """A square of a picture of any size. share: its side over the short side of the picture.

    down, right: where it lies, from 0 (at the top, on the left) to 1 (at the bottom, on the right).
    """

    share: float
    down: float
    right: float

    def cut(self, frames: np.ndarray) -> np.ndarray:
        """frames: [T, H, W, C]. Returns a view of them, [T, side, side, C]; the side is one pixel at least."""
        height, width = frames.shape[1:3]
        side = max(1, round(self.share * min(height, width)))
        top, left = int(self.down * (height - side)), int(self.right * (width - side))
        return frames[:, top : top + side, left : left + side]


@dataclass(frozen=True)
class EvaluationCrop:
    """One look at a clip."""

    square: Square
    mirrored: bool = False


CENTRE = (EvaluationCrop(Square(1.0, 0.5, 0.5)),)
"""The largest square in the middle, as ``evaluation_clip`` cuts it."""


def evaluation_crops(kind: Literal["centre", "five", "ten"], share: float) -> tuple[EvaluationCrop, ...]:
    """``centre``: CENTRE, whatever the share. ``five``: middle and corners. ``ten``: these, each mirrored too.

    share: side of the squares over the short side of the picture.
    """
    if kind == "centre":
        return CENTRE
    places = ((0.5, 0.5), (0.0, 0.0), (0.0, 1.0), (1.0, 0.0), (1.0, 1.0))
    sides = (False, True) if kind == "ten" else (False,)
    return tuple(EvaluationCrop(Square(share, *place), mirrored) for place in places for mirrored in sides)
