"""A picture of videos and those found for them: a row for each query, its answers framed by whether they are right."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Sequence

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from stages.video.clips import Clips
    from stages.video.views import ViewReader

MOMENTS = (0.2, 0.5, 0.8)
"""Where in a video the frames are taken that stand for it: one frame would not show what moves."""
SIDE = 96
"""Pixels of a frame's square."""
_CELL, _TITLE, _TOP = 0.8, 0.34, 0.78  # inches: height of a strip, room for a cell's title and for the heading
_GAP = 2
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


def neighbours_picture(
    clips: Clips,
    queries: Sequence[Query],
    views: Sequence[ViewReader] = (),
    asked: str = "query (test)",
    found: str = "nearest (train)",
) -> Any:
    """Matplotlib figure: a row a query; left the query itself, then its answers in a green (right) or red frame.

    views: what is shown of each video, one strip below another; its RGB frames by default. asked, found: headings of
    the query's column and of the answers'.
    """
    from matplotlib.figure import Figure

    strips = {row: _strips(clips, views, row) for q in queries for row in (q.row, *(a.row for a in q.answers))}
    columns = 1 + max(len(q.answers) for q in queries)
    cell = _CELL * max(1, len(views))
    width = columns * (_CELL * len(MOMENTS) + 0.12)
    height = len(queries) * (cell + _TITLE) + _TOP
    figure = Figure(figsize=(width, height), facecolor="white")
    grid = figure.subplots(len(queries), columns, squeeze=False)
    figure.subplots_adjust(
        left=0.01, right=0.99, bottom=0.01, top=1 - _TOP / height, wspace=0.05, hspace=0.4 * _CELL / cell
    )
    for axes, query in zip(grid, queries):
        _cell(axes[0], strips[query.row], ASKED, _label(clips, query.row), "")
        for ax, answer in zip(axes[1:], query.answers):
            colour = RIGHT if answer.right else WRONG
            _cell(ax, strips[answer.row], colour, _label(clips, answer.row), f"{answer.similarity:.2f}")
        for ax in axes[1 + len(query.answers) :]:
            ax.set_axis_off()
    _heading(figure, grid[0], asked, found)
    return figure


def _strips(clips: Clips, views: Sequence[ViewReader], row: int) -> NDArray[np.uint8]:
    """A few moments of a video side by side, for each view one strip below another: uint8 [H, W, 3].

    Of each frame the middle square, as networks see it.
    """
    last = int(clips.frames[row]) - 1
    numbers = np.array([round(moment * last) for moment in MOMENTS], dtype=np.int64)
    pictures = [_pictures(view, row, numbers, last) for view in views] or [clips.read(row, numbers)]
    strips = [_side_by_side([_square(frame) for frame in frames], axis=1) for frames in pictures]
    return _side_by_side(strips, axis=0)


def _pictures(view: ViewReader, row: int, numbers: NDArray, last: int) -> NDArray[np.uint8]:
    """A view of some frames as people can look at it: uint8 [T, H, W, 3]."""
    import torch

    from stages.video.transforms import denormalise, normalise

    # Each frame with the one after it, since the difference view is made of two.
    pairs = np.stack([numbers, np.minimum(numbers + 1, last)], axis=1)
    read = torch.tensor(view.read(row, pairs.ravel())).unflatten(0, (-1, 2))
    shown = denormalise(normalise(read.permute(0, 4, 1, 2, 3), view.view), view.view)
    return shown[:, :, 0].permute(0, 2, 3, 1).numpy()


def _square(frame: NDArray[np.uint8]) -> NDArray[np.uint8]:
    from PIL import Image

    height, width = frame.shape[:2]
    side = min(height, width)
    top, left = (height - side) // 2, (width - side) // 2
    middle = Image.fromarray(np.ascontiguousarray(frame[top : top + side, left : left + side]))
    return np.asarray(middle.resize((SIDE, SIDE), Image.Resampling.BICUBIC))


def _side_by_side(pictures: Sequence[NDArray[np.uint8]], axis: int) -> NDArray[np.uint8]:
    """Pictures of one size in a row (axis 1) or a column (axis 0), white between them."""
    shape = list(pictures[0].shape)
    shape[axis] = _GAP
    gap = np.full(shape, 255, np.uint8)
    return np.concatenate([part for picture in pictures for part in (gap, picture)][1:], axis=axis)


def _cell(ax: Axes, strip: NDArray[np.uint8], colour: str, label: str, value: str) -> None:
    ax.imshow(strip, interpolation="antialiased")
    ax.set_xticks([])
    ax.set_yticks([])
    for spine in ax.spines.values():
        spine.set(color=colour, linewidth=2.6)
    ax.set_title(label, fontsize=7.5, loc="left", pad=4, color=INK)
    if value:
        ax.set_title(value, fontsize=7.5, loc="right", pad=4, color=QUIET)


def _heading(figure: Any, axes: Sequence[Axes], asked: str, found: str) -> None:
    """Names of the columns, and above them what frames and numbers mean."""
    height = figure.get_figheight()
    for rank, ax in enumerate(axes):
        text = asked if rank == 0 else found if rank == 1 else f"{rank}."
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
