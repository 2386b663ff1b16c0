"""A table as a picture: one panel a column, the paper's value and ours on one line a model."""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.report.tables import Built

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def plot(built: Built) -> Figure:
    """Dots with one standard deviation of the seeds (thick) and the test set's 95 % interval (thin)."""
    from matplotlib.figure import Figure

    table = built.table
    count = len(table.columns)
    figure = Figure(figsize=(2.2 + 3.2 * count, 1.5 + 0.42 * len(table.rows)), layout="constrained")
    axes = figure.subplots(1, count, sharey=True, squeeze=False)[0]
    for axis, column in zip(axes, table.columns, strict=True):
        if column in built.chance:
            axis.axvline(built.chance[column], color="0.55", linestyle=":", linewidth=1.2, label="chance")
        for y, row in enumerate(table.rows):
            entry = built.entries[row, column]
            labels = {} if axis.get_legend_handles_labels()[1].count("ours") else {"label": "ours"}
            if entry.mean is not None:
                if entry.sampling:
                    axis.errorbar(
                        entry.mean, y, xerr=entry.sampling, color="#2a6fb0", linewidth=1, alpha=0.6, capsize=3
                    )
                if entry.sd:
                    axis.errorbar(entry.mean, y, xerr=entry.sd, color="#2a6fb0", linewidth=4, alpha=0.45)
                axis.plot(entry.mean, y, "o", color="#2a6fb0", markersize=7, **labels)
            if entry.paper is not None:
                labels = {} if axis.get_legend_handles_labels()[1].count("paper") else {"label": "paper"}
                axis.plot(
                    entry.paper,
                    y,
                    "D",
                    markerfacecolor="none",
                    markeredgecolor="#c25a12",
                    markersize=8,
                    **labels,
                )
            if entry.mean is None:
                axis.text(0.02, y, "–", color="#a32020", va="center", transform=axis.get_yaxis_transform())
        axis.set_title(table.label(column), fontsize=10)
        axis.grid(axis="x", color="0.9")
        axis.set_axisbelow(True)
        axis.margins(x=0.08)
        for side in ("top", "right", "left"):
            axis.spines[side].set_visible(False)
        axis.tick_params(axis="y", length=0)
    axes[0].set_yticks(range(len(table.rows)), [table.label(row) for row in table.rows])
    axes[0].set_ylim(len(table.rows) - 0.5, -0.5)
    bars = "bars: deviation of the seeds (thick), 95 % interval from the size of the test set (thin)"
    figure.supxlabel(f"{'per cent; ' if table.unit == 'per_cent' else ''}{bars}", fontsize=8, color="0.35")
    handles = {label: h for axis in axes for h, label in zip(*axis.get_legend_handles_labels(), strict=True)}
    if handles:
        figure.legend(
            handles.values(),
            handles.keys(),
            loc="outside upper right",
            ncols=len(handles),
            frameon=False,
            fontsize=9,
        )
    figure.suptitle(table.title or built.name, fontsize=11, x=0.01, ha="left")
    return figure
