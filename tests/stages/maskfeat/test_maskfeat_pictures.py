"""The pictures show what they say: strokes along edges, predictions where it was masked, how often a cell is masked."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from stages.maskfeat.hog import hog
from stages.maskfeat.pictures import STROKE, mask_picture, prediction_picture, stroke_glyphs, strokes
from stages.maskfeat.target_spec import (
    CubeMask,
    FeatureTarget,
    FrameMask,
    HogTarget,
    NormalisedPixelTarget,
    PixelTarget,
)
from stages.maskfeat.targets import Targets, feature_targets

GRID = (2, 2, 2)


@pytest.mark.parametrize("convention", ["from_vertical", "from_horizontal"])
@pytest.mark.parametrize("degrees", range(5, 180, 20))
def test_a_stroke_runs_along_the_edge(degrees, convention):
    """A ramp that rises under an angle is alike along the line across it; a stroke must be spread along that."""
    spec = HogTarget(angle=convention)
    y, x = torch.meshgrid(torch.arange(24.0), torch.arange(24.0), indexing="ij")
    angle = np.deg2rad(degrees)
    picture = strokes(hog(np.cos(angle) * x + np.sin(angle) * y, spec)[:, 1:2, 1:2].numpy(), spec)[..., 0]
    rows, columns = np.mgrid[:STROKE, :STROKE] - (STROKE - 1) / 2
    across = (picture * (np.cos(angle) * columns + np.sin(angle) * rows) ** 2).sum()
    along = (picture * (np.cos(angle) * rows - np.sin(angle) * columns) ** 2).sum()
    assert along > 4 * across


def test_negative_predictions_are_not_drawn():
    assert strokes(-np.ones((9, 1, 2)), HogTarget()).max() == 0
    assert stroke_glyphs(9, True).max() == 1


def example(spec, frames: int = 4):
    clips = torch.randint(0, 256, (3, 3, frames, 32, 32), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    mask = np.zeros((3, 2, 1, 2), bool)
    mask[:, 1, 0, 1] = True
    if isinstance(spec, FeatureTarget):
        true = feature_targets(torch.randn(3, 8, *GRID, generator=torch.Generator().manual_seed(1)), GRID)
    else:
        true = Targets(spec, (frames, 32, 32), GRID)(clips.float() / 255 * 4 - 2)
    return clips.numpy(), mask, true.numpy()


def drawn(figure, row: int, column: int) -> np.ndarray:
    return np.asarray(figure.axes[4 * row + column].images[0].get_array())


@pytest.mark.parametrize(
    "spec",
    [
        HogTarget(),
        HogTarget(frames="all", angle="from_horizontal"),
        PixelTarget(kind="pixel"),
        PixelTarget(kind="pixel", frames="all"),
        NormalisedPixelTarget(kind="normalised_pixel"),
        FeatureTarget(kind="features", model="a"),
    ],
)
def test_predictions_stand_where_it_was_masked(spec):
    clips, mask, true = example(spec)
    perfect = prediction_picture(clips, mask, true, true, spec)
    wrong = prediction_picture(clips, mask, np.zeros_like(true), true, spec)
    assert len(perfect.axes) == 12
    frame, shown, guess, truth = (drawn(perfect, 1, column) for column in range(4))
    assert np.allclose(frame, clips[1, :, 2].transpose(1, 2, 0) / 255) and np.allclose(shown[:, :16], frame[:, :16])
    assert (shown[:, 16:] == 0.5).all()
    half = guess.shape[1] // 2
    if isinstance(spec, HogTarget):
        lit = truth[..., :1] > 0.5
        assert np.allclose(guess[:, half:, 0], truth[:, half:, 0]) and lit.any()
    else:
        assert np.allclose(guess[:, half:], truth[:, half:], atol=1e-4)
    assert not np.allclose(drawn(wrong, 1, 2)[:, half:], guess[:, half:], atol=0.02)
    assert np.array_equal(drawn(wrong, 1, 2)[:, :half], guess[:, :half])
    assert perfect.axes[0].get_title("left") == "frame 2"


def test_the_map_says_how_often(tmp_path):
    spec, grid = CubeMask(), (4, 5, 5)
    figure = mask_picture(spec, grid, np.random.default_rng(0), draws=60)
    text = figure.get_suptitle()
    assert text.startswith("cube, faithful: 40 of 100 cells asked (40.0%); in 60 draws")
    squares = np.array(figure.axes[:20]).reshape(5, 4)
    often = np.stack([np.asarray(axes.images[0].get_array()) for axes in squares[-1]])
    assert often.shape == grid and 0.3 < often.mean() < 0.41
    assert squares[-1, 0].get_title() == f"{often[0].mean():.0%}"
    assert squares[0, 0].get_ylabel().endswith("masked")
    for name in ("first", "second"):
        mask_picture(spec, grid, np.random.default_rng(0), draws=60).savefig(tmp_path / name, format="png")
    assert (tmp_path / "first").read_bytes() == (tmp_path / "second").read_bytes()
    assert (
        mask_picture(FrameMask(kind="frame"), grid, np.random.default_rng(0), draws=5)
        .get_suptitle()
        .startswith("frame: 50 of 100")
    )
