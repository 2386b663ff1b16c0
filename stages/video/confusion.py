"""A picture of which classes are taken for which."""

from __future__ import annotations

from typing import Any, Sequence

import numpy as np
from numpy.typing import NDArray

NAMED = 40
"""Up to so many classes carry their names."""
NUMBERED = 20
"""Up to so many classes have the share written in each cell."""


def confusion_picture(counts: NDArray[np.int64], classes: Sequence[str]) -> Any:
    """Matplotlib figure of a confusion matrix [C, C] (rows: true class), each row as shares of its videos."""
    from matplotlib.figure import Figure

    total = counts.sum(axis=1, keepdims=True)
    shares = 100 * counts / np.maximum(total, 1)
    many = len(classes)
    side = float(np.clip(1.6 + 0.34 * many, 3.6, 12.0))
    figure = Figure(figsize=(side + 0.7, side), facecolor="white", layout="constrained")
    ax = figure.subplots()
    image = ax.imshow(shares, cmap="Blues", vmin=0, vmax=100, interpolation="nearest")
    ax.set_xlabel("predicted")
    ax.set_ylabel("true class")
    if many <= NAMED:
        names = [name.replace("_", " ").replace("$", r"\$") for name in classes]
        size = 8 if many <= NUMBERED else 6
        ax.set_xticks(
            range(many),
            names,
            rotation=90 if many > 8 else 45,
            ha="center" if many > 8 else "right",
            fontsize=size,
        )
        ax.set_yticks(range(many), names, fontsize=size)
        if many > 8:
            ax.tick_params(axis="x", length=0)
    if many <= NUMBERED:
        for (row, column), share in np.ndenumerate(shares):
            if share >= 0.5:
                ax.text(
                    column,
                    row,
                    f"{share:.0f}",
                    ha="center",
                    va="center",
                    fontsize=7,
                    color="white" if share > 55 else "#222222",
                )
    bar = figure.colorbar(image, ax=ax, fraction=0.046, pad=0.03)
    bar.set_label("% of the videos of a class", fontsize=8)
    bar.outline.set_visible(False)
    return figure
