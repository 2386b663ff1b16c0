"""A video before it is drawn: what stands where, how it moves, how the camera shakes. A function of (seed, split, index)."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import numpy as np

from stages.synthetic.looks import Sprite, draw_background, draw_sprite
from stages.synthetic.motions import MOTIONS, Manner, Pose
from stages.synthetic.spec import Recipe

SPLITS = ("train", "test")


@dataclass(frozen=True)
class Scene:
    """Everything that one video shows.

    background: float32 [S, S, 3], periodic. sprites: from back to front, each with its ``places`` [n, 2] (x, y in frame
    sides, on a torus), ``radii`` [n] (frame sides) and ``angles`` [n] (radians). pose: the shared motion. camera: [T, 2]
    displacement of the picture in frame sides.
    """

    motion: str
    manner: Manner
    pose: Pose
    background: np.ndarray
    sprites: tuple[Sprite, ...]
    places: np.ndarray
    radii: np.ndarray
    angles: np.ndarray
    camera: np.ndarray


def random_for(recipe: Recipe, *names: str | int) -> np.random.Generator:
    """A generator that depends on the recipe's seed and ``names`` only."""
    text = "\x1f".join(str(n) for n in (recipe.data_seed, *names))
    return np.random.default_rng(int.from_bytes(hashlib.blake2b(text.encode(), digest_size=16).digest(), "big"))


def motion_of(recipe: Recipe, index: int) -> str:
    """The class of video ``index`` of any split: classes take turns."""
    return recipe.motions[index % len(recipe.motions)]


def draw_scene(recipe: Recipe, split: str, index: int) -> Scene:
    """The scene of one video. Nothing but ``pose`` depends on the class."""
    rng = random_for(recipe, split, "video", index)
    look = index if recipe.appearances is None else int(rng.integers(recipe.appearances))
    looks = random_for(recipe, split, "look", look)
    manner = draw_manner(recipe, rng)
    motion = motion_of(recipe, index)
    count = recipe.sprites
    return Scene(
        motion=motion,
        manner=manner,
        pose=MOTIONS[motion](np.arange(recipe.frames) / recipe.frames, manner),
        background=draw_background(looks, recipe.size, recipe.backdrop),
        sprites=tuple(draw_sprite(looks) for _ in range(count)),
        places=spread_places(rng, count),
        radii=rng.uniform(0.105, 0.15, count) * min(1.0, (3 / count) ** 0.5),
        angles=rng.uniform(0, 2 * np.pi, count),
        camera=shake(rng, recipe.frames) * recipe.jitter,
    )


def draw_manner(recipe: Recipe, rng: np.random.Generator) -> Manner:
    """Pace, reach, phase and sense of a motion."""
    return Manner(
        cycles=recipe.frames / (recipe.period * rng.uniform(0.8, 1.2)),
        amplitude=float(rng.uniform(0.08, 0.13)),
        phase=float(rng.random()),
        direction=int(rng.choice((-1, 1))),
        drop=int(rng.choice((-1, 1))),
        zoom=float(rng.uniform(0.3, 0.45)),
    )


def spread_places(rng: np.random.Generator, count: int) -> np.ndarray:
    """Places [count, 2] on the unit torus: each new one is that of 16 uniform draws which is farthest from the others.

    The first is uniform and the rule knows distances only; so every place is uniform by itself.
    """
    places = [rng.random(2)]
    while len(places) < count:
        draws = rng.random((16, 2))
        apart = np.abs(draws[:, None] - np.array(places)[None])
        apart = np.hypot(*np.moveaxis(np.minimum(apart, 1 - apart), -1, 0)).min(1)
        places.append(draws[apart.argmax()])
    return np.array(places)


def shake(rng: np.random.Generator, frames: int) -> np.ndarray:
    """A stationary random walk [frames, 2] of variance 1 that forgets half of its place from frame to frame."""
    steps = rng.normal(size=(frames, 2))
    path = steps.copy()
    for frame in range(1, frames):
        path[frame] = 0.5 * path[frame - 1] + 0.75**0.5 * steps[frame]
    return path
