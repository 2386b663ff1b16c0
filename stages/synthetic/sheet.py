"""A picture of the classes: a row each, with frames of one video over time and the way its sprites go."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from stages.synthetic.render import render
from stages.synthetic.scene import Scene, draw_scene, random_for
from stages.synthetic.spec import Recipe

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COLUMNS = 8


def contact_sheet(recipe: Recipe) -> Figure:
    """The first training video of each class: up to 8 consecutive frames, and the motion drawn over the first."""
    from matplotlib.figure import Figure

    rows, columns = len(recipe.motions), min(COLUMNS, recipe.frames)
    figure = Figure(figsize=(1.15 * (columns + 1) + 1.2, 1.2 * rows), layout="constrained")
    axes = figure.subplots(rows, columns + 1, squeeze=False)
    for index, row in enumerate(axes):
        scene = draw_scene(recipe, "train", index)
        frames = render(scene, recipe.noise, random_for(recipe, "train", "noise", index))
        for number, axis in enumerate(row[:-1]):
            axis.imshow(frames[number], interpolation="nearest")
            if index == 0:
                axis.set_title(f"frame {number + 1}", fontsize=8)
        row[0].set_ylabel(scene.motion.replace("_", " "), rotation=0, ha="right", va="center", fontsize=10)
        draw_motion(row[-1], scene, frames[0], columns)
        for axis in row:
            axis.set(xticks=[], yticks=[])
    axes[0, -1].set_title("motion", fontsize=8)
    return figure


def draw_motion(axis: Axes, scene: Scene, frame: np.ndarray, steps: int) -> None:
    """Draw over a pale ``frame`` how each sprite goes, from dark to light: its place, and its size or angle if it changes."""
    from matplotlib import colormaps

    size, pose = len(frame), scene.pose
    around = np.linspace(0, 2 * np.pi, 40)
    axis.imshow(frame // 4 + 176, interpolation="nearest")
    for place, radius, angle in zip(scene.places, scene.radii, scene.angles):
        for step in range(steps):
            colour = colormaps["plasma"](0.9 * step / max(steps - 1, 1))
            x, y = (place[0] + pose.x[step]) % 1 * size, (place[1] + pose.y[step]) % 1 * size
            reach, turned = radius * pose.scale[step] * size, angle + pose.angle[step]
            if np.ptp(pose.scale) or not step:
                axis.plot(x + reach * np.cos(around), y + reach * np.sin(around), color=colour, linewidth=0.8)
            if np.ptp(pose.angle):
                axis.plot([x, x + reach * np.cos(turned)], [y, y + reach * np.sin(turned)], color=colour, linewidth=1)
            axis.plot([x], [y], ".", color=colour, markersize=5)
    axis.set(xlim=(-0.5, size - 0.5), ylim=(size - 0.5, -0.5))
