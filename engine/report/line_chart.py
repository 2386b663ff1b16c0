"""A table whose rows follow each other in training, as lines: one panel a column."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from engine.report.tables import Built
from engine.spec.table import Table

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COLOURS = ("#2a6fb0", "#c25a12", "#3c8d40", "#8e4aa0", "#7a6a1c", "#555555")
"""Of the lines, in order; taken again from the first when there are more."""


def plot_lines(built: Built) -> Figure:
    """Mean over seeds with one standard deviation; the paper's values as hollow diamonds of the line's colour."""
    from matplotlib.figure import Figure

    table = built.table
    names = step_names(table)
    figure = Figure(figsize=(1.6 + 3.6 * len(table.columns), 3.6), layout="constrained")
    panels = figure.subplots(1, len(table.columns), squeeze=False)[0]
    for axis, column in zip(panels, table.columns, strict=True):
        if column in built.chance:
            axis.axhline(built.chance[column], color="0.55", linestyle=":", linewidth=1.2, label="chance")
        for i, line in enumerate(table.lines):
            _line(axis, built, column, line, COLOURS[i % len(COLOURS)])
        axis.set_title(table.label(column), fontsize=10)
        axis.set_xticks(range(len(names)), names)
        axis.set_xlim(-0.3, len(names) - 0.7)
        axis.grid(axis="y", color="0.9")
        axis.set_axisbelow(True)
        for side in ("top", "right"):
            axis.spines[side].set_visible(False)
    panels[0].set_ylabel("per cent" if table.unit == "per_cent" else "")
    handles = {label: h for axis in panels for h, label in zip(*axis.get_legend_handles_labels(), strict=True)}
    if handles:
        figure.legend(handles.values(), handles.keys(), loc="outside right upper", frameon=False, fontsize=9)
    figure.suptitle(table.title or built.name, fontsize=11, x=0.01, ha="left")
    return figure


def step_names(table: Table) -> tuple[str, ...]:
    """What stands below the points: the table's ``steps``, else the names that all lines share, else numbers from 0."""
    if table.steps:
        return table.steps
    longest = max(table.lines.values(), key=len)
    shared = all(points == longest[: len(points)] for points in table.lines.values())
    return tuple(table.label(row) if shared else str(i) for i, row in enumerate(longest))


def _line(axis: Axes, built: Built, column: str, line: str, colour: str) -> None:
    """One line; where a value is missing it is broken."""
    entries = [built.entries[row, column] for row in built.table.lines[line]]
    places = range(len(entries))
    means = [math.nan if e.mean is None else e.mean for e in entries]
    spreads = [math.nan if e.sd is None else e.sd for e in entries]
    style = {"color": colour, "marker": "o", "markersize": 6, "linewidth": 1.8, "capsize": 3}
    axis.errorbar(places, means, yerr=spreads, label=line, **style)
    printed = [(x, e.paper) for x, e in zip(places, entries) if e.paper is not None]
    if printed:
        style = {"markerfacecolor": "none", "markeredgecolor": colour, "markersize": 9}
        axis.plot(*zip(*printed), "D", label=f"{line}, paper", **style)
