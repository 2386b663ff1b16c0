"""One generated video: its script and its scene, a function of (seed, split, index)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from stages.synthetic.looks import draw_background, draw_sprite
from stages.synthetic.render import render
from stages.synthetic.scene import Scene, draw_manner, motion_of, random_for, shake, spread_places
from stages.tal.annotations import Instance
from stages.untrimmed.script import Piece, draw_script, perform
from stages.untrimmed.spec import UntrimmedRecipe


@dataclass(frozen=True)
class Film:
    """pieces: what happens when; scene: all that is seen, its pose of all frames. Looks stay the same."""

    pieces: tuple[Piece, ...]
    scene: Scene

    @property
    def frames(self) -> int:
        return self.pieces[-1].end

    def instances(self, recipe: UntrimmedRecipe) -> tuple[Instance, ...]:
        """The truth in seconds: frame n is shown from n / fps to (n + 1) / fps."""
        return tuple(
            Instance(piece.start / recipe.fps, piece.end / recipe.fps, recipe.motions.index(piece.what))
            for piece in self.pieces
            if piece.is_instance
        )


def draw_film(recipe: UntrimmedRecipe, split: str, index: int) -> Film:
    """A video; what its class decides is only which motion its instances are."""
    rng = random_for(recipe, "untrimmed", split, "video", index)
    look = index if recipe.appearances is None else int(rng.integers(recipe.appearances))
    looks = random_for(recipe, "untrimmed", split, "look", look)
    manner = draw_manner(recipe, rng)
    motion = motion_of(recipe, index)
    pieces = draw_script(recipe, motion, rng)
    count = recipe.sprites
    scene = Scene(
        motion=motion,
        manner=manner,
        pose=perform(pieces, manner, recipe, rng),
        background=draw_background(looks, recipe.size, recipe.backdrop),
        sprites=tuple(draw_sprite(looks) for _ in range(count)),
        places=spread_places(rng, count),
        radii=rng.uniform(0.105, 0.15, count) * min(1.0, (3 / count) ** 0.5),
        angles=rng.uniform(0, 2 * np.pi, count),
        camera=shake(rng, pieces[-1].end) * recipe.jitter,
    )
    return Film(pieces, scene)


def render_film(film: Film, recipe: UntrimmedRecipe, split: str, index: int) -> np.ndarray:
    """Frames uint8 [T, S, S, 3]."""
    return render(film.scene, recipe.noise, random_for(recipe, "untrimmed", split, "noise", index))
