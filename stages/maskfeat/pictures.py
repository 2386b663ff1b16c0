"""Pictures of masked prediction: clips with what was masked, predicted and true; masks, and what they cover."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from stages.maskfeat.masks import coverage, draw_mask
from stages.maskfeat.target_spec import (
    FeatureTarget,
    Grid,
    HogTarget,
    Mask,
    NormalisedPixelTarget,
    PixelTarget,
    Target,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

STROKE = 24
"""Side of a drawn cell in pixels."""
PREDICTED = np.array([1.0, 0.72, 0.2])
"""Colour of strokes that are predictions; what was visible is grey."""
SEEN = np.array([0.45, 0.45, 0.45])
GREY = 0.5
SHOWN = 4
"""Clips in the picture of predictions, and masks in that of masks."""


def prediction_picture(
    clips: np.ndarray, mask: np.ndarray, predicted: np.ndarray, true: np.ndarray, spec: Target
) -> Figure:
    """One row a clip, at the time step of which most is masked: frame, input, prediction where it was masked, truth.

    clips: uint8 [N, 3, T, H, W], for the eye; mask: bool [N, T', H', W'], of the cells; predicted, true: targets, float
    [N, T', h, w, width]. HOG is drawn as strokes along the edges (across the gradients), pixels as such, normalised
    ones with the true mean and deviation of the token; of features
    three principal components of the truth become colours.
    """
    from matplotlib.figure import Figure

    count = min(SHOWN, len(clips))
    figure = Figure(figsize=(2.6 * 4, 2.6 * count + 0.3), layout="constrained")
    grid = figure.subplots(count, 4, squeeze=False)
    for i in range(count):
        step = int(mask[i].mean((1, 2)).argmax())
        per_token = clips.shape[2] // mask.shape[1]
        frame = clips[i, :, step * per_token].transpose(1, 2, 0) / 255
        tokens = _enlarged(mask[i, step], true.shape[2:4])
        hidden = _enlarged(mask[i, step], frame.shape[:2])[..., None]
        guess, truth = _drawn(predicted[i, step], true[i, step], tokens, frame, spec)
        pictures = (frame, np.where(hidden, GREY, frame), guess, truth)
        titles = (
            f"frame {step * per_token}",
            f"input, {mask[i].mean():.0%} of the clip masked",
            "predicted where masked",
            "true",
        )
        for axes, picture, title in zip(grid[i], pictures, titles):
            _show(axes, picture, title)
    return figure


def mask_picture(spec: Mask, grid: Grid, rng: np.random.Generator, draws: int = 500) -> Figure:
    """Some masks, a row each, one square a time step; below, the share of ``draws`` masks that hide each cell."""
    from matplotlib.figure import Figure

    times = grid[0]
    masks = [draw_mask(spec, grid, rng) for _ in range(SHOWN)]
    often, counts = coverage(spec, grid, draws, rng)
    figure = Figure(figsize=(1.1 * times + 1.4, 1.25 * (SHOWN + 1) + 0.6), layout="constrained")
    cells = figure.subplots(SHOWN + 1, times, squeeze=False)
    for line, mask in zip(cells, masks):
        for step, axes in enumerate(line):
            axes.imshow(mask[step], cmap="Greys", vmin=0, vmax=1.3)
            _bare(axes)
        line[0].set_ylabel(f"{mask.mean():.1%} masked", fontsize=8)
    for step, axes in enumerate(cells[-1]):
        image = axes.imshow(often[step], cmap="viridis", vmin=0, vmax=1)
        axes.set_title(f"{often[step].mean():.0%}", fontsize=8)
        axes.set_xlabel(f"step {step}", fontsize=8)
        _bare(axes)
    cells[-1][0].set_ylabel("how often", fontsize=8)
    figure.colorbar(image, ax=list(cells[-1]), fraction=0.05, pad=0.01).ax.tick_params(labelsize=7)
    total, asked = often.size, spec.asked(grid)
    sampler = f", {spec.sampler}" if hasattr(spec, "sampler") else ""
    figure.suptitle(
        f"{spec.kind}{sampler}: {asked} of {total} cells asked ({asked / total:.1%}); "
        f"in {draws} draws {counts.mean() / total:.1%} on average, "
        f"{counts.min() / total:.1%} to {counts.max() / total:.1%}, "
        f"all that was asked in {np.mean(counts == asked):.0%}",
        fontsize=8,
        wrap=True,
    )
    return figure


def strokes(histograms: np.ndarray, spec: HogTarget, colour: np.ndarray = np.ones(3)) -> np.ndarray:
    """Cells as strokes along their edges, float [bins, rows, columns] -> float [rows * S, columns * S, 3] in 0..1.

    A stroke is as bright as its bin is strong. Negative values, which only predictions have, are not drawn.
    """
    bins, rows, columns = histograms.shape
    glyphs = stroke_glyphs(bins, spec.angle == "from_vertical")
    light = np.einsum("krc,kyx->rycx", histograms.clip(0), glyphs).reshape(rows * STROKE, columns * STROKE)
    return light.clip(0, 1)[..., None] * colour


def stroke_glyphs(bins: int, from_vertical: bool) -> np.ndarray:
    """A stroke for each bin, across the gradients in the middle of the bin, with soft edges: float [bins, S, S]."""
    angles = np.pi * (np.arange(bins) + 0.5) / bins
    across, down = (np.sin(angles), np.cos(angles)) if from_vertical else (np.cos(angles), np.sin(angles))
    y, x = np.mgrid[:STROKE, :STROKE] - (STROKE - 1) / 2
    off = np.abs(x * across[:, None, None] + y * down[:, None, None])  # from the line through the centre
    along = np.abs(-x * down[:, None, None] + y * across[:, None, None])
    return (2.2 - off).clip(0, 1) * (0.46 * STROKE - along).clip(0, 1)


def _drawn(
    predicted: np.ndarray, true: np.ndarray, masked: np.ndarray, frame: np.ndarray, spec: Target
) -> tuple[np.ndarray, np.ndarray]:
    """Prediction (the truth, dimmed, where it was not asked for) and truth of one time step; targets [h, w, width]."""
    if isinstance(spec, HogTarget):
        cells, guessed = (_cells(vectors, spec) for vectors in (true, predicted))
        asked = np.kron(masked, np.ones((cells.shape[1] // len(masked) * STROKE,) * 2, bool))[..., None]
        return np.where(asked, strokes(guessed, spec, PREDICTED), strokes(cells, spec, SEEN)), strokes(cells, spec)
    if isinstance(spec, FeatureTarget):
        guess, truth = _components(predicted, true)
    else:
        guess, truth = _pixels(predicted, true, frame, spec)
    asked = _enlarged(masked, truth.shape[:2])[..., None]
    return np.where(asked, guess, GREY + (truth - GREY) * 0.35), truth


def _cells(vectors: np.ndarray, spec: HogTarget) -> np.ndarray:
    """[h, w, width] -> [bins, rows, columns]: the first frame of each token, colours averaged."""
    h, w, width = vectors.shape
    frames = 2 if spec.frames == "all" else 1
    inside = round((width / (frames * 3 * spec.bins)) ** 0.5)
    parts = vectors.reshape(h, w, frames, 3, spec.bins, inside, inside)[:, :, 0].mean(2)
    return parts.transpose(2, 0, 3, 1, 4).reshape(spec.bins, h * inside, w * inside)


def _pixels(
    predicted: np.ndarray, true: np.ndarray, frame: np.ndarray, spec: PixelTarget
) -> tuple[np.ndarray, np.ndarray]:
    """Colours of the first frame of each token; their scale is read off frame and truth."""
    h, w = true.shape[:2]
    frames = 2 if spec.frames == "all" else 1
    side = frame.shape[0] // h
    shape = (h, w, frames, side, side, 3)
    tokens = frame.reshape(h, side, w, side, 3).transpose(0, 2, 1, 3, 4)
    guess, truth = (v.reshape(shape)[:, :, 0] for v in (predicted, true))
    axes = (
        (2, 3, 4) if isinstance(spec, NormalisedPixelTarget) else (0, 1, 2, 3)
    )  # a token has its own scale, or a colour has
    centre, spread = truth.mean(axes, keepdims=True), truth.std(axes, keepdims=True)
    scale = tokens.std(axes, keepdims=True) / np.maximum(spread, 1e-6)
    guess = (guess - centre) * scale + tokens.mean(axes, keepdims=True)
    return guess.transpose(0, 2, 1, 3, 4).reshape(frame.shape).clip(0, 1), frame


def _components(predicted: np.ndarray, true: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Prediction and truth [h, w, D] in the first three principal components of the truth, as colours [h, w, 3]."""
    vectors = true.reshape(-1, true.shape[-1]).astype(np.float64)
    mean = vectors.mean(0)
    _, _, directions = np.linalg.svd(vectors - mean, full_matrices=False)
    directions = (
        directions[:3]
        * np.sign(directions[:3][np.arange(len(directions[:3])), np.abs(directions[:3]).argmax(1)])[:, None]
    )
    directions = np.pad(directions, ((0, 3 - len(directions)), (0, 0)))
    shown = [(part.reshape(vectors.shape) - mean) @ directions.T for part in (predicted, true)]
    most = max(float(np.abs(shown[1]).max()), 1e-9)
    guess, truth = ((part / most / 2 + 0.5).clip(0, 1).reshape(*true.shape[:2], 3) for part in shown)
    return guess, truth


def _enlarged(cells: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """[rows, columns] -> [*size], whole multiples, by repetition."""
    return cells.repeat(size[0] // cells.shape[0], 0).repeat(size[1] // cells.shape[1], 1)


def _show(axes: Axes, picture: np.ndarray, title: str) -> None:
    axes.imshow(picture, vmin=0, vmax=1)
    axes.set_title(title, fontsize=8, loc="left")
    _bare(axes)


def _bare(axes: Axes) -> None:
    axes.set(xticks=[], yticks=[])
    axes.spines[:].set_color("#cccccc")
