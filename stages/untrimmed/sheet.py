"""A picture of generated videos: a row each, with frames over time and a bar where an instance is."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from stages.untrimmed.film import draw_film, render_film
from stages.untrimmed.spec import UntrimmedRecipe

if TYPE_CHECKING:
    from matplotlib.figure import Figure

COLUMNS = 16


def timelines(recipe: UntrimmedRecipe) -> Figure:
    """The first training video of each class: up to 16 frames, evenly spread, above its script."""
    from matplotlib import colormaps
    from matplotlib.figure import Figure

    rows = len(recipe.motions)
    figure = Figure(figsize=(12, 1.15 * rows), layout="constrained")
    for index, axis in enumerate(figure.subplots(rows, 1, squeeze=False)[:, 0]):
        film = draw_film(recipe, "train", index)
        frames = render_film(film, recipe, "train", index)
        shown = np.linspace(0, film.frames, COLUMNS, endpoint=False) + film.frames / COLUMNS / 2
        strip = np.concatenate(list(frames[shown.astype(np.int64)]), axis=1)
        seconds, height = film.frames / recipe.fps, film.frames / recipe.fps / COLUMNS
        axis.imshow(strip, extent=(0, seconds, 0, height), interpolation="nearest", aspect="auto")
        for piece in film.pieces:
            colour = colormaps["tab10"](recipe.motions.index(piece.what) % 10) if piece.is_instance else "0.85"
            left, width = piece.start / recipe.fps, (piece.end - piece.start) / recipe.fps
            axis.barh(-0.2 * height, width, 0.35 * height, left, color=colour, edgecolor="white")
            if width < seconds / 25:
                continue  # no room for its name
            axis.text(
                left + width / 2, -0.2 * height, piece.what.replace("_", " "), ha="center", va="center", fontsize=7
            )
        axis.set(xlim=(0, seconds), ylim=(-0.4 * height, height), yticks=[])
    axis.set_xlabel("seconds")
    return figure
