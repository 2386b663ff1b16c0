"""Pictures of curves."""

from __future__ import annotations

from typing import TYPE_CHECKING, Mapping, Sequence

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def curve_picture(points: Sequence[tuple[int, Mapping[str, float]]], panels: Mapping[str, Sequence[str]]) -> Figure:
    """One panel below another, each with some of the logged metrics over the steps.

    points: (step, metrics) as logged; panels: title -> names of metrics. Metrics that were never logged are left out.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 2.2 * len(panels)), layout="constrained")
    for axes, (title, names) in zip(figure.subplots(len(panels), 1, sharex=True, squeeze=False)[:, 0], panels.items()):
        for name in names:
            line = [(step, metrics[name]) for step, metrics in points if name in metrics]
            if line:
                axes.plot(*zip(*line), label=name.replace("_", " "), linewidth=1.2)
        axes.set_title(title, fontsize=9, loc="left")
        axes.grid(alpha=0.3)
        if axes.lines:
            axes.legend(fontsize=8, frameon=False)
    axes.set_xlabel("step")
    return figure
