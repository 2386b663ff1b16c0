"""Optical flow as colours: the wheel of Baker et al. (A Database and Evaluation Methodology for Optical Flow, 2011).

Direction is the hue, length the saturation: no motion is white. To the right is red, down yellow, to the left cyan, up violet. The
colours are those of the wheel's usual implementations to a level, so that pictures can be compared; they too have a small step at red.
"""

from __future__ import annotations

from functools import cache

import numpy as np

SEGMENTS = {"RY": 15, "YG": 6, "GC": 4, "CB": 11, "BM": 13, "MR": 6}
"""Colours on the way from one hue to the next, as the wheel spaces them: red, yellow, green, cyan, blue, magenta, red."""


@cache
def wheel() -> np.ndarray:
    """The 55 colours, float64 [55, 3] in [0, 1], from red on, in whole levels of 255."""
    hues = {"R": (1, 0, 0), "Y": (1, 1, 0), "G": (0, 1, 0), "C": (0, 1, 1), "B": (0, 0, 1), "M": (1, 0, 1)}
    parts = []
    for (start, end), count in SEGMENTS.items():
        share = np.floor(255 * np.arange(count)[:, None] / count) / 255
        parts.append(np.array(hues[start]) * (1 - share) + np.array(hues[end]) * share)
    return np.concatenate(parts)


def flow_picture(flow: np.ndarray, most: float) -> np.ndarray:
    """Colours of a flow field.

    flow: [..., 2], (u, v) in pixels. most: length in pixels that gets the full colour; longer vectors are shown darker.
    Returns uint8 [..., 3]. Raises ValueError unless ``most`` is positive.
    """
    if not most > 0:
        raise ValueError(f"most must be positive, not {most}")
    u, v = np.asarray(flow[..., 0], np.float64) / most, np.asarray(flow[..., 1], np.float64) / most
    length = np.hypot(u, v)[..., None]
    colours = wheel()
    place = (np.arctan2(v, u) / (2 * np.pi)) % 1 * (len(colours) - 1)  # the last colour is as far as a full turn
    low = place.astype(int)
    share = (place - low)[..., None]
    colour = colours[low] * (1 - share) + colours[(low + 1) % len(colours)] * share
    shown = np.where(length <= 1, 1 - length * (1 - colour), 0.75 * colour)
    return np.floor(255 * shown).astype(np.uint8)
