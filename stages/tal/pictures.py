"""Pictures of localisation: what was found when in single videos, and how precise detections are."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from stages.tal.segments import Segments, best_first, tiou

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from stages.tal.detection_map import DetectionMAP

VIDEOS = 6
"""Videos in the picture of timelines."""
LANES = 8
"""Detections shown of each, the best ones."""
NEAR = 0.5
"""tIoU from which on the number beside a detection is printed dark."""
NAMED = 24
"""Classes whose AP is drawn: all up to so many, else the best and the worst."""

INK, QUIET, FAINT = "#222222", "#8a8a8a", "#dddddd"
HUES = ("#2f6db3", "#d9822b", "#3a9a5b", "#b04a8f", "#7a6a2f", "#c0504d")
_LANE, _TRUTH, _TITLE, _WIDTH = 0.135, 2.0, 0.5, 8.4
"""Height of a lane in inches, of ground truth in lanes, of what is around a panel in inches; width in inches."""


def timelines(
    truth: Segments,
    detections: Segments,
    videos: Sequence[str],
    durations: NDArray[np.float64],
    classes: Sequence[str],
) -> Figure:
    """Some videos with ground truth: its segments above, the best detections below, surer ones fuller.

    videos: names, durations: seconds; ``video`` of the segments numbers both. A class of the video's ground truth has
    the same hue in both; detections of other classes are grey. Right: score, and tIoU with the nearest segment of the
    class.
    """
    from matplotlib.figure import Figure

    rows = spread_videos(truth)
    panel = _LANE * (LANES + _TRUTH) + _TITLE
    figure = Figure(figsize=(_WIDTH, panel * max(1, len(rows)) + 0.2), facecolor="white")
    height = figure.get_figheight()
    for place, row in enumerate(rows):
        bottom = height - 0.1 - panel * (place + 1) + 0.2
        ax = figure.add_axes((0.07, bottom / height, 0.81, (panel - _TITLE) / height))
        own, found = truth.take(truth.video == row), detections.take(detections.video == row)
        best = found.take(best_first(found)[:LANES])
        _timeline(ax, own, best, float(durations[row]))
        _headings(ax, videos[row], own, best, classes)
    return figure


def spread_videos(truth: Segments, count: int = VIDEOS) -> list[int]:
    """Some videos with ground truth from all over the classes, at most one of a class while there are others."""
    _, first = np.unique(truth.video, return_index=True)
    labels = truth.label[first]
    order = np.argsort(labels, kind="stable")
    turn = np.arange(len(order)) - np.searchsorted(labels[order], labels[order])
    queue = truth.video[first][order[np.argsort(turn, kind="stable")]]
    distinct = max(count, len(np.unique(labels)))
    chosen = (
        np.unique(np.linspace(0, min(len(queue), distinct) - 1, count).round().astype(int))
        if len(queue)
        else []
    )
    return [int(queue[place]) for place in chosen]


def _timeline(ax: Axes, own: Segments, found: Segments, duration: float) -> None:
    hues = _hues(own)
    ends = [own.end.max(initial=0.0), found.end.max(initial=0.0), duration]
    ax.set(xlim=(min(0.0, found.start.min(initial=0.0)), max(*ends, 1e-3)), ylim=(LANES + 0.2, -_TRUTH))
    rows = side_by_side(own)
    tall = 1.5 / (rows.max(initial=0) + 1)
    for start, end, label, row in zip(own.start, own.end, own.label, rows):
        colour, middle = hues[int(label)], tall * (row + 0.5) - 0.3 - 1.5
        ax.axvspan(start, end, ymax=LANES / (LANES + _TRUTH), color=colour, alpha=0.09, linewidth=0)
        ax.vlines([start, end], middle, LANES + 0.2, color=colour, linewidth=0.6, alpha=0.6, zorder=0.5)
        ax.barh(
            middle, end - start, left=start, height=0.9 * tall, color=colour, linewidth=0.6, edgecolor="white"
        )
    if len(found):
        fullness = 0.3 + 0.7 * found.score / max(float(found.score.max()), 1e-12)
        for lane, near in enumerate(_nearest(own, found)):
            start, length = found.start[lane], found.end[lane] - found.start[lane]
            colour = hues.get(int(found.label[lane]), QUIET)
            alpha = float(np.clip(fullness[lane], 0.3, 1))
            ax.barh(lane + 0.5, length, left=start, height=0.62, color=colour, alpha=alpha, linewidth=0)
            _beside(ax, lane + 0.5, 1.055, f"{found.score[lane]:.2f}", QUIET)
            _beside(ax, lane + 0.5, 1.125, f"{near:.2f}", INK if near >= NEAR else QUIET)
    else:
        ax.text(
            0.5,
            0.42,
            "no detections",
            transform=ax.transAxes,
            ha="center",
            va="center",
            fontsize=8,
            color=QUIET,
        )
    _beside(ax, -_TRUTH / 2, 1.055, "score", QUIET)
    _beside(ax, -_TRUTH / 2, 1.125, "tIoU", QUIET)
    _beside(ax, -_TRUTH / 2, -0.01, "truth", INK)
    _beside(ax, LANES / 2, -0.01, "found", INK)
    ax.spines[["top", "right", "left"]].set_visible(False)
    ax.spines["bottom"].set_color(FAINT)
    ax.set_yticks([])
    ax.tick_params(axis="x", labelsize=7, colors=QUIET, length=2.5, pad=1.5)
    ax.xaxis.set_major_formatter(lambda seconds, _: f"{seconds:g} s")


def side_by_side(segments: Segments) -> NDArray[np.int64]:
    """The row, from 0, in which each segment of a video is drawn, so that none covers another: [N]."""
    free: list[float] = []  # when each row is free again
    rows = np.zeros(len(segments), np.int64)
    for place in np.lexsort((segments.end, segments.start)).tolist():
        start, end = float(segments.start[place]), float(segments.end[place])
        row = next((row for row, until in enumerate(free) if until <= start), len(free))
        free[row : row + 1] = [end]
        rows[place] = row
    return rows


def _nearest(own: Segments, found: Segments) -> NDArray[np.float64]:
    """tIoU of each detection with the nearest segment of its class: [detections]."""
    overlap = tiou(found.start[:, None], found.end[:, None], own.start, own.end)
    return np.where(found.label[:, None] == own.label, overlap, 0.0).max(axis=1, initial=0.0)


def _hues(own: Segments) -> dict[int, str]:
    return {int(label): HUES[place % len(HUES)] for place, label in enumerate(np.unique(own.label))}


def _headings(ax: Axes, name: str, own: Segments, found: Segments, classes: Sequence[str]) -> None:
    """The video's name, then its classes in their hues."""
    hues = _hues(own)
    parts = [(_plain(name, 44), INK, "bold")]
    parts += [
        (_plain(classes[n] if n >= 0 else "any class", 26), hue, "normal")
        for n, hue in list(hues.items())[:3]
    ]
    if len(hues) > 3:
        parts.append((f"{len(hues) - 3} more", INK, "normal"))
    if not np.isin(found.label, own.label).all():
        parts.append(("other classes", QUIET, "normal"))
    style = {"textcoords": "offset points", "fontsize": 8, "va": "bottom"}
    last = None
    for text, colour, weight in parts:
        where = {"xy": (0, 1), "xycoords": "axes fraction", "xytext": (0, 2)}
        if last is not None:  # after the one before
            where = {"xy": (1, 0), "xycoords": last, "xytext": (9, 0)}
        last = ax.annotate(text, color=colour, weight=weight, **where, **style)


def _beside(ax: Axes, y: float, x: float, text: str, colour: str) -> None:
    ax.text(
        x, y, text, transform=ax.get_yaxis_transform(), ha="right", va="center", fontsize=6.5, color=colour
    )


def precision_recall(result: DetectionMAP, classes: Sequence[str]) -> Figure:
    """Left: precision over recall, mean of the classes, a line for each tIoU threshold. Right: AP of single classes."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10, 4.6), facecolor="white", layout="constrained")
    left, right = figure.subplots(1, 2, width_ratios=(1.15, 1))
    _curves(left, result)
    _classes(right, result, classes)
    return figure


def _curves(ax: Axes, result: DetectionMAP) -> None:
    from matplotlib import colormaps

    recalls, means = result.mean_curve()
    order = np.argsort(result.thresholds, kind="stable")
    colours = colormaps["viridis"](np.linspace(0.02, 0.9, len(order)))
    for colour, level in zip(colours, order):
        label = f"{result.thresholds[level]:.2f}     {100 * result.map[level]:5.1f} %"
        ax.plot(100 * recalls, 100 * means[level], color=colour, linewidth=1.7, label=label)
    ax.set(
        xlim=(0, 100),
        ylim=(0, 101),
        xlabel="recall (%)",
        ylabel="interpolated precision (%), mean of classes",
    )
    _quieten(ax)
    ax.grid(alpha=0.25, linewidth=0.6)
    legend = ax.legend(
        title="tIoU      mAP", framealpha=0.85, edgecolor="white", fontsize=8, title_fontsize=8, loc="best"
    )
    legend.set_alignment("left")
    title = f"average mAP {100 * result.average_map:.2f} %"
    ax.set_title(title, fontsize=10, weight="bold", loc="left", color=INK)
    counted = f"{len(result.classes)} classes, {result.segments.sum()} segments"
    ax.set_title(counted, fontsize=8, loc="right", color=QUIET)


def _classes(ax: Axes, result: DetectionMAP, classes: Sequence[str]) -> None:
    means, easiest = 100 * result.ap.mean(axis=0), int(result.thresholds.argmin())
    order = np.argsort(-means, kind="stable")
    between = len(order) - NAMED if len(order) > NAMED else 0
    shown = np.concatenate([order[: NAMED // 2], order[-(NAMED // 2) :]]) if between else order
    places = np.arange(len(shown)) + np.where(np.arange(len(shown)) >= NAMED // 2, 1.4, 0.0) * (between > 0)
    names = [_plain(classes[int(result.classes[row])], 30) for row in shown]
    ax.barh(
        places,
        100 * result.ap[easiest, shown],
        height=0.72,
        color="#c9dcef",
        label=f"at tIoU {result.thresholds[easiest]:.2f}",
    )
    ax.barh(places, means[shown], height=0.72, color=HUES[0], label="mean of all thresholds")
    if between:
        ax.text(
            1,
            NAMED // 2 + 0.2,
            f"{between} classes between",
            fontsize=7,
            color=QUIET,
            va="center",
            style="italic",
        )
    ax.set_yticks(places, names, fontsize=8 if len(shown) <= 12 else 7)
    ax.set(xlim=(0, 100), ylim=(max(places[-1], 7.0) + 0.7, -0.7), xlabel="average precision (%)")
    _quieten(ax)
    ax.tick_params(axis="y", length=0)
    ax.grid(axis="x", alpha=0.25, linewidth=0.6)
    ax.set_axisbelow(True)
    ax.legend(frameon=False, fontsize=8, loc="lower right", bbox_to_anchor=(1, 1), ncols=2, borderaxespad=0.1)


def _quieten(ax: Axes) -> None:
    ax.spines[["top", "right"]].set_visible(False)
    ax.spines[["left", "bottom"]].set_color("#bbbbbb")
    ax.tick_params(labelsize=8, color="#bbbbbb")
    ax.xaxis.label.set_size(9)
    ax.yaxis.label.set_size(9)


def _plain(text: str, most: int) -> str:
    """Shortened, and safe for matplotlib, to which a ``$`` starts a formula."""
    text = text.replace("_", " ") if "/" not in text and "." not in text else text
    text = text if len(text) <= most else text[: most - 1] + "…"
    return text.replace("$", r"\$")
