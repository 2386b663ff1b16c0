"""How things look: backgrounds and sprites, drawn at random and without knowledge of the class."""

from __future__ import annotations

import colorsys
from dataclasses import dataclass
from typing import Literal

import numpy as np

PATTERNS = ("stripes", "checks", "dots", "halves")
BACKGROUNDS = ("clouds", "patches", "grating", "weave")
GREY = 0.45
"""About the mean of pictures, which networks see as 0."""
CORNERS = (0, 3, 4, 5, 6)
"""Corners of a shape; 0 is a disc."""


@dataclass(frozen=True)
class Sprite:
    """A sprite's shape and pattern in its own coordinates, in which its radius is 1.

    corners: of a polygon, or arms of a star. stretch: ratio of its height to its width. frequency: of the pattern, in
    cycles per radius. colours: [2, 3], RGB in [0, 1]; rim: colour of its edge.
    """

    corners: int
    star: bool
    stretch: float
    pattern: str
    frequency: float
    shift: float
    colours: np.ndarray
    rim: np.ndarray

    def outline(self, angle: np.ndarray) -> np.ndarray:
        """Distance of the edge from the centre at each angle, at most 1."""
        if not self.corners:
            return np.ones_like(angle)
        if self.star:
            return 0.78 + 0.22 * np.cos(self.corners * angle)
        wedge = 2 * np.pi / self.corners
        return np.cos(wedge / 2) / np.cos(angle % wedge - wedge / 2)

    def paint(self, u: np.ndarray, v: np.ndarray, pixel: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Colour [..., 3] and opacity [...] at points (u, v), softened over ``pixel``, a pixel's width in radii."""
        v = v / self.stretch
        depth = self.outline(np.arctan2(v, u)) - np.hypot(u, v)
        opacity = np.clip(0.5 + depth / pixel, 0, 1)
        share = np.clip(0.5 + self._wave(u, v) / (2 * np.pi * self.frequency * pixel), 0, 1)[..., None]
        colour = self.colours[0] * share + self.colours[1] * (1 - share)
        inside = np.clip((depth - 0.16) / pixel + 0.5, 0, 1)[..., None]
        return self.rim + (colour - self.rim) * inside, opacity

    def _wave(self, u: np.ndarray, v: np.ndarray) -> np.ndarray:
        """The pattern as a signed wave: one colour where it is positive, the other where negative."""
        k = 2 * np.pi * self.frequency
        if self.pattern == "stripes":
            return np.sin(k * u + self.shift)
        if self.pattern == "checks":
            return np.sin(k * u + self.shift) * np.sin(k * v)
        if self.pattern == "dots":
            return np.cos(k * u + self.shift) + np.cos(k * v) - 0.5
        return k * (v - 0.3 * np.sin(self.shift))


def draw_sprite(rng: np.random.Generator) -> Sprite:
    """A sprite of random shape, pattern and colours; the two colours differ clearly in lightness."""
    hue, other = rng.random(2)
    dark, light = rng.uniform(0.1, 0.45), rng.uniform(0.8, 1.0)
    colours = np.array([_rgb(hue, rng.uniform(0.4, 1), dark), _rgb(other, rng.uniform(0.2, 0.9), light)])
    return Sprite(
        corners=int(rng.choice(CORNERS)),
        star=bool(rng.integers(2)),
        stretch=float(rng.uniform(0.65, 1.0)),
        pattern=str(rng.choice(PATTERNS)),
        frequency=float(rng.uniform(0.6, 1.1)),
        shift=float(rng.uniform(0, 2 * np.pi)),
        colours=colours[:: rng.choice((-1, 1))].astype(np.float32),
        rim=np.full(3, rng.choice((0.03, 0.97)), np.float32),
    )


def draw_background(
    rng: np.random.Generator, size: int, backdrop: Literal["textured", "plain"] = "textured"
) -> np.ndarray:
    """A random texture float32 [size, size, 3] in [0, 1] whose edges fit each other, of moderate contrast.

    plain: the same grey in every video; what is drawn from ``rng`` is the same.
    """
    kind = str(rng.choice(BACKGROUNDS))
    if kind in ("clouds", "patches"):
        field = _clouds(rng, size)
        field = np.tanh(field * (0.7 if kind == "clouds" else 6.0))
    else:
        field = _grating(rng, size)
        if kind == "weave":
            field = field * _grating(rng, size)
        field = 0.75 * field + 0.25 * np.tanh(_clouds(rng, size))
    tint = _clouds(rng, size)[..., None] * 0.08
    low = _rgb(rng.random(), rng.uniform(0.1, 0.6), rng.uniform(0.15, 0.6))
    high = _rgb(rng.random(), rng.uniform(0.1, 0.6), rng.uniform(0.35, 0.85))
    share = (0.5 + 0.5 * field)[..., None]
    texture = np.clip(low * (1 - share) + high * share + tint * rng.normal(size=3), 0, 1).astype(np.float32)
    if backdrop == "plain":
        texture[:] = GREY
    return texture


def _clouds(rng: np.random.Generator, size: int) -> np.ndarray:
    """Periodic noise [size, size] of mean 0 and variance 1 whose power falls with a random power of frequency."""
    frequency = np.hypot(np.fft.fftfreq(size)[:, None], np.fft.rfftfreq(size)[None]) * size
    frequency[0, 0] = np.inf
    spectrum = np.fft.rfft2(rng.normal(size=(size, size))) * np.maximum(frequency, 1.5) ** -rng.uniform(1.2, 2.4)
    field = np.fft.irfft2(spectrum, (size, size))
    return field / field.std()


def _grating(rng: np.random.Generator, size: int) -> np.ndarray:
    """A wave [size, size] in [-1, 1] of random direction with a whole number of cycles along both sides."""
    across, down = rng.integers(-6, 7, 2)
    down = down if across or down else 3
    place = np.arange(size) / size
    return np.sin(2 * np.pi * (across * place[None] + down * place[:, None] + rng.random()))


def _rgb(hue: float, saturation: float, value: float) -> np.ndarray:
    return np.array(colorsys.hsv_to_rgb(hue, saturation, value))
