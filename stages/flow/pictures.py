"""Pictures of flow: beside its frames in the colours of the standard wheel, as arrows, and how long its vectors are."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from stages.clips.sheet import sample_rows
from stages.video.flow_bytes import to_pixels
from stages.video.wheel import flow_picture

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from stages.video.clips import Clips
    from stages.video.flows import Flows

VIDEOS, MOMENTS = 4, 4
"""Videos in the picture, and frames of each."""
COUNTED = 64
"""Videos whose vectors the histogram counts, a few fields of each."""
ARROWS = 24
"""Arrows along the longer side."""
WIDTH, TITLE = 2.2, 0.3
"""Of a picture, and of the line above it, in inches."""


def flow_examples(clips: Clips, flows: Flows) -> Figure:
    """Some videos: frames above, their flow below, and arrows over the frame that moves most; the wheel says what the colours mean."""
    from matplotlib.figure import Figure

    sample = sample_rows(clips.targets)
    rows = sample[:: max(1, len(sample) // VIDEOS)][:VIDEOS]
    heights = [WIDTH * clips.sizes[row, 1] / clips.sizes[row, 0] + TITLE for row in rows for _ in range(2)]
    figure = Figure(figsize=((WIDTH + 0.1) * (MOMENTS + 1), sum(heights)), layout="constrained")
    grid = figure.subplots(2 * len(rows), MOMENTS + 1, squeeze=False, height_ratios=heights)
    for i, row in enumerate(rows):
        numbers = (np.arange(MOMENTS) * int(clips.frames[row] - 1)) // MOMENTS
        frames, flow = clips.read(row, numbers), to_pixels(flows.read(row, numbers), flows.bound)
        lengths = np.hypot(flow[..., 0], flow[..., 1])
        most = max(0.5, float(np.quantile(lengths, 0.995)))
        for k, number in enumerate(numbers):
            _show(grid[2 * i, k], frames[k], f"{clips.labels[row]}, frame {number}" if not k else f"frame {number}")
            _show(grid[2 * i + 1, k], flow_picture(flow[k], most), "its flow" if not k else "")
        liveliest = int(lengths.mean((1, 2)).argmax())
        _arrows(grid[2 * i, MOMENTS], frames[liveliest], flow[liveliest], most, f"frame {numbers[liveliest]}")
        _legend(grid[2 * i + 1, MOMENTS], most)
    return figure


def histogram(clips: Clips, flows: Flows) -> Figure:
    """How long the vectors are, in pixels a frame, over a sample of videos; the bound is marked."""
    from matplotlib.figure import Figure

    rows = np.unique(np.linspace(0, len(clips) - 1, min(COUNTED, len(clips))).astype(int))
    edges = np.linspace(0, flows.bound * 2**0.5, 81)
    counts = np.zeros(80, np.int64)
    for row in rows.tolist():
        numbers = np.unique(np.linspace(0, max(0, int(clips.frames[row]) - 2), 4).astype(int))
        flow = to_pixels(flows.read(row, numbers), flows.bound)
        counts += np.histogram(np.hypot(flow[..., 0], flow[..., 1]), edges)[0]
    figure = Figure(figsize=(7, 3), layout="constrained")
    axes = figure.subplots()
    axes.stairs(counts / counts.sum(), edges, fill=True, color="#4c78a8")
    axes.axvline(flows.bound, color="#d73027", linewidth=1)
    axes.annotate(
        "bound of a component", (flows.bound, 0.96), xycoords=("data", "axes fraction"), rotation=90, fontsize=8, ha="right", va="top"
    )
    axes.set(yscale="log", xlabel="length of a vector [pixels a frame]", ylabel="share of vectors")
    axes.set_title(f"{len(rows)} videos, 4 fields of each", fontsize=9, loc="left")
    return figure


def _show(axes: Axes, picture: np.ndarray, title: str) -> None:
    axes.imshow(picture)
    axes.set(xticks=[], yticks=[])
    axes.spines[:].set_color("#cccccc")
    axes.set_title(title.replace("$", r"\$").replace("_", " "), fontsize=8, loc="left")


def _arrows(axes: Axes, frame: np.ndarray, flow: np.ndarray, most: float, title: str) -> None:
    """Every arrow is the mean over a tile; one of length ``most`` is three tiles long, and those below a tenth are left out."""
    grey = np.repeat(frame.mean(-1, keepdims=True), 3, -1) / 255
    _show(axes, 0.5 + grey / 2, title)
    height, width = flow.shape[:2]
    tile = max(1, max(height, width) // ARROWS)
    rows, columns = height // tile, width // tile
    mean = flow[: rows * tile, : columns * tile].reshape(rows, tile, columns, tile, 2).mean((1, 3))
    y, x = np.mgrid[:rows, :columns] * tile + tile / 2
    seen = np.hypot(mean[..., 0], mean[..., 1]) > most / 10
    u, v = mean[seen].T
    axes.quiver(x[seen], y[seen], u, v, angles="xy", scale_units="xy", scale=most / (3 * tile), color="#c51b7d", width=0.006)


def _legend(axes: Axes, most: float) -> None:
    y, x = np.mgrid[-1:1:101j, -1:1:101j]
    colours = flow_picture(np.stack([x, y], -1), 1.0)
    colours[np.hypot(x, y) > 1] = 255
    _show(axes, colours, f"rim: {most:.1f} px a frame")
