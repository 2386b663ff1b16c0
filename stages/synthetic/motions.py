"""The classes: how a sprite moves, as pure functions of time.

A motion maps times t in [0, 1] to a ``Pose``: displacement, scale and angle, each relative to where and how the
sprite happens to be. Two rules make a class invisible in any single frame and untouched by a horizontal flip:

* A sprite's place is uniform on a torus and its orientation uniform on the circle, so adding any displacement or any
  turn leaves both uniform. Scale cannot wrap round; so ``still`` gives every motion the scale of ``pulse`` stopped at
  a random phase, which has the distribution of ``pulse`` at any time.
* ``Manner.direction`` multiplies x and angle in every motion, and is a fair coin: the mirror image of a class is the
  same class with the other direction, equally likely.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Callable, Mapping

import numpy as np

TURN = 2 * np.pi
DRIFT = 3.0
"""Way of a drifting motion per cycle, in amplitudes: about the pace of the oscillating ones, 4 per cycle."""


@dataclass(frozen=True)
class Manner:
    """How one video carries out its motion; drawn without regard to the class.

    cycles: per video. amplitude: fraction of the frame's side. phase: in cycles, uniform in [0, 1). direction: 1 or
    -1. zoom: largest change of log scale. drop: 1 or -1, the sense of the vertical part of a loop.
    """

    cycles: float
    amplitude: float
    phase: float
    direction: int
    drop: int
    zoom: float

    @property
    def mirrored(self) -> Manner:
        """The manner that a horizontal flip turns this one into."""
        return replace(self, direction=-self.direction)


@dataclass(frozen=True)
class Pose:
    """Of all times, each array like t. x to the right and y down, in frame sides; scale as a factor; angle in radians."""

    x: np.ndarray
    y: np.ndarray
    scale: np.ndarray
    angle: np.ndarray

    @property
    def mirrored(self) -> Pose:
        """As seen in a horizontally flipped video."""
        return replace(self, x=-self.x, angle=-self.angle)


Motion = Callable[[np.ndarray, Manner], Pose]


def still(t: np.ndarray, manner: Manner) -> Pose:
    """No motion: the pose that the motions depart from, with the scale of ``pulse`` stopped at t = 0."""
    zero = np.zeros_like(t)
    return Pose(zero, zero, np.full_like(t, np.exp(manner.zoom * np.sin(TURN * manner.phase))), zero)


def bob(t: np.ndarray, manner: Manner) -> Pose:
    """Up and down, smoothly."""
    return replace(still(t, manner), y=manner.amplitude * np.sin(TURN * _cycle(t, manner)))


def sway(t: np.ndarray, manner: Manner) -> Pose:
    """To and fro sideways, smoothly."""
    return replace(still(t, manner), x=manner.direction * manner.amplitude * np.sin(TURN * _cycle(t, manner)))


def circle(t: np.ndarray, manner: Manner) -> Pose:
    """Round and round, upright."""
    turned = TURN * _cycle(t, manner)
    x, y = manner.amplitude * np.cos(turned), manner.amplitude * np.sin(turned)
    return replace(still(t, manner), x=manner.direction * x, y=y)


def eight(t: np.ndarray, manner: Manner) -> Pose:
    """A lying figure eight."""
    turned = TURN * _cycle(t, manner)
    x, y = 1.2 * manner.amplitude * np.sin(turned), 0.8 * manner.amplitude * np.sin(2 * turned)
    return replace(still(t, manner), x=manner.direction * x, y=manner.drop * y)


def spin(t: np.ndarray, manner: Manner) -> Pose:
    """Turning on the spot; half a turn per cycle, so that patterns of some symmetry are seen to turn."""
    return replace(still(t, manner), angle=manner.direction * TURN / 2 * manner.cycles * t)


def pulse(t: np.ndarray, manner: Manner) -> Pose:
    """Growing and shrinking on the spot."""
    return replace(still(t, manner), scale=np.exp(manner.zoom * np.sin(TURN * _cycle(t, manner))))


def bounce(t: np.ndarray, manner: Manner) -> Pose:
    """Hopping sideways as a ball does: parabolas, with a sharp turn on the ground."""
    hop = _cycle(t, manner) % 1
    x, y = DRIFT * manner.amplitude * manner.cycles * t, -8 * manner.amplitude * hop * (1 - hop)
    return replace(still(t, manner), x=manner.direction * x, y=y)


def zigzag(t: np.ndarray, manner: Manner) -> Pose:
    """Down or up in straight lines that turn sharply from side to side."""
    x, y = manner.amplitude * _triangle(_cycle(t, manner)), DRIFT * manner.amplitude * manner.cycles * t
    return replace(still(t, manner), x=manner.direction * x, y=manner.drop * y)


def stop_and_go(t: np.ndarray, manner: Manner) -> Pose:
    """Sideways in jerks: it moves half of each cycle and rests the other half."""
    cycle = _cycle(t, manner)
    x = DRIFT * manner.amplitude * (np.floor(cycle) + np.minimum(2 * (cycle % 1), 1))
    return replace(still(t, manner), x=manner.direction * x)


def spiral(t: np.ndarray, manner: Manner) -> Pose:
    """Round and round while the radius swells from nothing and shrinks again, once in two turns."""
    cycle = _cycle(t, manner)
    radius = 2 * manner.amplitude * np.abs(np.sin(TURN * cycle / 4))
    x, y = radius * np.cos(TURN * cycle), radius * np.sin(TURN * cycle)
    return replace(still(t, manner), x=manner.direction * x, y=y)


MOTIONS: Mapping[str, Motion] = {
    "bob": bob,
    "bounce": bounce,
    "circle": circle,
    "eight": eight,
    "pulse": pulse,
    "spin": spin,
    "spiral": spiral,
    "stop_and_go": stop_and_go,
    "sway": sway,
    "zigzag": zigzag,
}


def _cycle(t: np.ndarray, manner: Manner) -> np.ndarray:
    """Cycles completed at times t, counted from a random phase."""
    return manner.cycles * t + manner.phase


def _triangle(cycle: np.ndarray) -> np.ndarray:
    """A wave of straight lines between -1 and 1, of period 1."""
    return 4 * np.abs(cycle % 1 - 0.5) - 1
