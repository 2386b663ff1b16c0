"""Optical flow in bytes: no motion is exactly 128, and the negative of a byte b is 256 - b, so that mirroring loses nothing."""

from __future__ import annotations

import numpy as np

ZERO = 128
"""The byte of no motion."""
REACH = 127
"""Steps from no motion to the bound."""


def to_bytes(flow: np.ndarray, bound: float) -> np.ndarray:
    """Components in pixels, cut at +-``bound`` and rounded to 127 steps each way: uint8 of the same shape, 1 to 255."""
    steps = np.rint(np.clip(flow, -bound, bound) * (REACH / bound))
    return (steps + ZERO).astype(np.uint8)


def to_pixels(stored: np.ndarray, bound: float) -> np.ndarray:
    """Bytes as float32 pixels; a byte of 0, which JPEG may make of a 1, is a step beyond the bound."""
    return (stored.astype(np.float32) - ZERO) * np.float32(bound / REACH)
