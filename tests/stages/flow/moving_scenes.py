"""Scenes whose motion is known to a fraction of a pixel, and what flow backends are judged by."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

import numpy as np

Points = Callable[[np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]]


def texture(x: np.ndarray, y: np.ndarray, seed: int = 0) -> np.ndarray:
    """Grey levels 0 to 1 of an endless texture at any points: a sum of waves 6 to 30 pixels long."""
    rng = np.random.default_rng(seed)
    lengths, angles, phases = rng.uniform(6, 30, 24), rng.uniform(0, np.pi, 24), rng.uniform(0, 2 * np.pi, 24)
    total = np.zeros(np.broadcast(x, y).shape)
    for length, angle, phase in zip(lengths, angles, phases):
        total += np.cos(2 * np.pi / length * (x * np.cos(angle) + y * np.sin(angle)) + phase)
    return np.clip(0.5 + total / 20, 0, 1)


def moving(size: tuple[int, int], back: Points, frames: int = 2, seed: int = 0) -> np.ndarray:
    """RGB uint8 [frames, H, W, 3] of ``size`` (height, width). back: where a point of frame i + 1 was in frame i."""
    y, x = np.mgrid[: size[0], : size[1]].astype(float)
    pictures = []
    for _ in range(frames):
        pictures.append(np.rint(255 * texture(x, y, seed)).astype(np.uint8))
        x, y = back(x, y)
    return np.repeat(np.stack(pictures)[..., None], 3, axis=-1)


def shifted(size: tuple[int, int], u: float, v: float, frames: int = 2, seed: int = 0) -> np.ndarray:
    """A texture that moves by (u, v) pixels from frame to frame."""
    return moving(size, lambda x, y: (x - u, y - v), frames, seed)


def noise(frames: int, height: int, width: int, seed: int = 0) -> np.ndarray:
    """Colourful frames that have nothing to do with each other: blocks of 4 x 4, uint8 [frames, H, W, 3]."""
    coarse = np.random.default_rng(seed).integers(0, 256, (frames, height // 4 + 1, width // 4 + 1, 3), np.uint8)
    return coarse.repeat(4, axis=1).repeat(4, axis=2)[:, :height, :width]


def inner(field: np.ndarray, border: int = 8) -> np.ndarray:
    """Flow [..., H, W, 2] without its border, where things enter the picture that no frame before has shown."""
    return field[..., border:-border, border:-border, :]


def end_point_error(one: np.ndarray, two: np.ndarray) -> float:
    """Mean length of the difference of two fields [..., 2], in pixels."""
    return float(np.linalg.norm(np.asarray(one, np.float64) - two, axis=-1).mean())


def scikit_image(frames: np.ndarray, **options: float) -> np.ndarray:
    """The reference: float [T - 1, H, W, 2], (u, v)."""
    from skimage.color import rgb2gray
    from skimage.registration import optical_flow_tvl1

    greys = rgb2gray(frames)
    fields = [optical_flow_tvl1(one, two, **options) for one, two in pairwise(greys)]
    return np.stack([np.stack([u, v], axis=-1) for v, u in fields])
