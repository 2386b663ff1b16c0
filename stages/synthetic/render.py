"""From a scene to frames."""

from __future__ import annotations

import numpy as np

from stages.synthetic.looks import Sprite
from stages.synthetic.scene import Scene


def render(scene: Scene, noise: float, rng: np.random.Generator) -> np.ndarray:
    """Frames uint8 [T, S, S, 3]. noise: standard deviation of sensor noise in levels of 255.

    The picture is a torus: what leaves it on one side enters on the other, so that no place is rarer than another.
    """
    size = len(scene.background)
    frames = np.stack([shifted(scene.background, *(move * size)) for move in scene.camera])
    for sprite, place, radius, angle in zip(scene.sprites, scene.places, scene.radii, scene.angles):
        x, y = place[0] + scene.pose.x + scene.camera[:, 0], place[1] + scene.pose.y + scene.camera[:, 1]
        draw(frames, sprite, x * size, y * size, radius * scene.pose.scale * size, angle + scene.pose.angle)
    levels = frames * 255 + rng.standard_normal(frames.shape, np.float32) * np.float32(noise)
    return np.clip(np.rint(levels), 0, 255).astype(np.uint8)


def shifted(texture: np.ndarray, right: float, down: float) -> np.ndarray:
    """A periodic texture [S, S, C] moved by a number of pixels, with linear interpolation."""
    for axis, move in ((1, right), (0, down)):
        whole = int(np.floor(move))
        part = np.float32(move - whole)
        moved = np.roll(texture, whole, axis)
        texture = moved * (1 - part) + np.roll(moved, 1, axis) * part
    return texture


def draw(frames: np.ndarray, sprite: Sprite, x: np.ndarray, y: np.ndarray, radius: np.ndarray, angle: np.ndarray) -> None:
    """Paint a sprite over frames float32 [T, S, S, 3]; x, y, radius [T] in pixels, pixel centres at whole numbers."""
    size = frames.shape[1]
    reach = int(np.ceil(radius.max())) + 1
    window = np.arange(-reach, reach + 1)
    columns, rows = (np.rint(c).astype(np.int64)[:, None] + window for c in (x, y))
    across, down = (columns - x[:, None])[:, None, :], (rows - y[:, None])[:, :, None]
    cos, sin = (f(angle)[:, None, None] / radius[:, None, None] for f in (np.cos, np.sin))
    u, v = (across * cos + down * sin).astype(np.float32), (down * cos - across * sin).astype(np.float32)
    colour, opacity = sprite.paint(u, v, (1 / radius[:, None, None]).astype(np.float32))
    where = np.arange(len(frames))[:, None, None], rows[:, :, None] % size, columns[:, None, :] % size
    under = frames[where]
    frames[where] = under + (colour - under) * opacity[..., None]
