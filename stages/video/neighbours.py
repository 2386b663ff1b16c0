"""A picture of retrieval: a row for each query, with the videos found for it, framed by whether they are right."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Sequence

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from stages.video.clips import Clips

MOMENTS = (0.2, 0.5, 0.8)
"""Where in a video the frames are taken that stand for it: one frame would not show what moves."""
SIDE = 96
"""Pixels of a frame's square."""
_CELL, _TOP = 0.8, 0.78  # inches: height of a strip, room for the heading
RIGHT, WRONG, ASKED, INK, QUIET = "#1a9850", "#d73027", "#4d4d4d", "#222222", "#777777"


@dataclass(frozen=True)
class Answer:
    """A video found for a query. ``row``: its row in the clips; ``right``: of the query's class."""

    row: int
    similarity: float
    right: bool


@dataclass(frozen=True)
class Query:
    """A video that asks, and what was found for it, nearest first."""

    row: int
    answers: tuple[Answer, ...]


def spread_queries(targets: NDArray, count: int) -> list[int]:
    """``count`` of the videos (all, if fewer), spread evenly over the classes: the first of each class, then the second.

    targets: [N]. With fewer than all classes, those taken lie evenly among them. Returns positions in order of class.
    """
    targets = np.asarray(targets)
    classes = np.unique(targets)
    of_class = {c: np.flatnonzero(targets == c).tolist() for c in classes.tolist()}
    if count < len(classes):
        evenly = (2 * np.arange(count) + 1) * len(classes) // (2 * count)
        return [of_class[c][0] for c in classes[evenly].tolist()]
    queue = [
        video
        for turn in range(len(targets))
        for c in classes.tolist()
        for video in of_class[c][turn : turn + 1]
    ]
    return sorted(queue[:count], key=lambda video: (targets[video], video))


def neighbours_picture(clips: Clips, queries: Sequence[Query]) -> Any:
    """Matplotlib figure: a row a query; left the query itself, then its answers in a green (right) or red frame."""
    from matplotlib.figure import Figure

    strips = {row: _strip(clips, row) for q in queries for row in (q.row, *(a.row for a in q.answers))}
    columns = 1 + max(len(q.answers) for q in queries)
    width = columns * (_CELL * len(MOMENTS) + 0.12)
    height = len(queries) * (_CELL + 0.34) + _TOP
    figure = Figure(figsize=(width, height), facecolor="white")
    grid = figure.subplots(len(queries), columns, squeeze=False)
    figure.subplots_adjust(left=0.01, right=0.99, bottom=0.01, top=1 - _TOP / height, wspace=0.05, hspace=0.4)
    for axes, query in zip(grid, queries):
        _cell(axes[0], strips[query.row], ASKED, _label(clips, query.row), "")
        for ax, answer in zip(axes[1:], query.answers):
            colour = RIGHT if answer.right else WRONG
            _cell(ax, strips[answer.row], colour, _label(clips, answer.row), f"{answer.similarity:.2f}")
        for ax in axes[1 + len(query.answers) :]:
            ax.set_axis_off()
    _heading(figure, grid[0])
    return figure


def _strip(clips: Clips, row: int) -> NDArray[np.uint8]:
    """A few moments of a video side by side, uint8 [SIDE, W, 3]; of each frame the middle square, as networks see."""
    from PIL import Image

    last = int(clips.frames[row]) - 1
    numbers = np.array([round(moment * last) for moment in MOMENTS], dtype=np.int64)
    frames = clips.read(row, numbers)
    height, width = frames.shape[1:3]
    side = min(height, width)
    top, left = (height - side) // 2, (width - side) // 2
    squares = [Image.fromarray(f[top : top + side, left : left + side]) for f in frames]
    pictures = [np.asarray(square.resize((SIDE, SIDE), Image.Resampling.BICUBIC)) for square in squares]
    gap = np.full((SIDE, 2, 3), 255, np.uint8)
    return np.concatenate([part for picture in pictures for part in (gap, picture)][1:], axis=1)


def _cell(ax: Axes, strip: NDArray[np.uint8], colour: str, label: str, value: str) -> None:
    ax.imshow(strip, interpolation="antialiased")
    ax.set_xticks([])
    ax.set_yticks([])
    for spine in ax.spines.values():
        spine.set(color=colour, linewidth=2.6)
    ax.set_title(label, fontsize=7.5, loc="left", pad=4, color=INK)
    if value:
        ax.set_title(value, fontsize=7.5, loc="right", pad=4, color=QUIET)


def _heading(figure: Any, axes: Sequence[Axes]) -> None:
    """Names of the columns, and above them what frames and numbers mean."""
    height = figure.get_figheight()
    for rank, ax in enumerate(axes):
        text = "query (test)" if rank == 0 else "nearest (train)" if rank == 1 else f"{rank}."
        figure.text(
            ax.get_position().x0, 1 - 0.5 / height, text, fontsize=8.5, weight="bold", color=INK, va="center"
        )
    x = axes[0].get_position().x0
    for text, colour in (
        ("same class", RIGHT),
        ("another class", WRONG),
        ("number: cosine similarity", QUIET),
    ):
        figure.text(x, 1 - 0.2 / height, text, fontsize=8.5, color=colour, va="center")
        x += (0.09 * len(text) + 0.1) / figure.get_figwidth()


def _label(clips: Clips, row: int, most: int = 24) -> str:
    """Name of the class of a video, shortened, safe for matplotlib (a ``$`` would start a formula)."""
    name = clips.classes[int(clips.targets[row])].replace("_", " ").replace("$", r"\$")
    return name if len(name) <= most else name[: most - 1] + "…"
