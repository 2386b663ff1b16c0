"""Masks: what holds for any grid and seed, and the statistics of the sampler of MaskFeat's public code."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stages.maskfeat import masks
from stages.maskfeat.masks import coverage, draw_mask, exact_blocks, faithful_areas, faithful_cubes
from stages.maskfeat.target_spec import CubeMask, FrameMask, TubeMask

KINDS = st.sampled_from(
    [
        CubeMask(sampler="faithful"),
        CubeMask(sampler="exact"),
        TubeMask(kind="tube"),
        TubeMask(kind="tube", sampler="exact"),
        FrameMask(kind="frame"),
    ]
)
GRIDS = st.tuples(st.integers(1, 9), st.integers(1, 9), st.integers(1, 9))
RATIOS = st.floats(0.05, 0.95)
SEEDS = st.integers(0, 2**32)


@settings(deadline=None)
@given(KINDS, GRIDS, RATIOS, SEEDS)
def test_for_any_grid_and_seed(spec, grid, ratio, seed):
    spec = spec.model_copy(update={"ratio": ratio})
    mask = draw_mask(spec, grid, np.random.default_rng(seed))
    assert mask.dtype == bool and mask.shape == grid
    assert np.array_equal(mask, draw_mask(spec, grid, np.random.default_rng(seed)))
    asked = spec.asked(grid)
    assert mask.sum() <= asked
    assert (
        abs(asked - ratio * mask.size)
        <= 0.5 * mask.size / {"cube": mask.size, "tube": grid[1] * grid[2], "frame": grid[0]}[spec.kind] + 1e-9
    )
    if spec.kind == "frame" or spec.sampler == "exact":
        assert mask.sum() == asked
    if spec.kind == "tube":
        assert (mask == mask[:1]).all()
    if spec.kind == "frame":
        assert set(mask.mean((1, 2))) <= {0.0, 1.0}


@settings(deadline=None, max_examples=50)
@given(GRIDS, SEEDS, st.data())
def test_exact_blocks_hit_any_count(grid, seed, data):
    cells = int(np.prod(grid))
    asked = data.draw(st.integers(0, cells))
    assert exact_blocks(grid, asked, np.random.default_rng(seed)).sum() == asked


@pytest.mark.parametrize(
    "spec", [CubeMask(), CubeMask(sampler="exact"), TubeMask(kind="tube"), FrameMask(kind="frame")]
)
def test_seeds_give_different_masks(spec):
    found = {draw_mask(spec, (8, 7, 7), np.random.default_rng(seed)).tobytes() for seed in range(20)}
    assert len(found) > 10


MEASURED = [  # grid, ratio, asked, mean share, least share, share of draws that have all that was asked
    ((8, 7, 7), 0.4, 157, 0.397, 0.365, 0.37),
    ((8, 7, 7), 0.2, 78, 0.192, 0.138, 0.29),
    ((8, 7, 7), 0.6, 235, 0.598, 0.574, 0.62),
    ((8, 7, 7), 0.8, 314, 0.801, 0.788, 0.85),
    ((8, 14, 14), 0.4, 627, 0.396, 0.374, 0.14),
    ((4, 4, 4), 0.4, 26, 0.404, 0.359, 0.88),
    ((4, 2, 2), 0.4, 6, 0.375, 0.312, 0.99),
]


@pytest.mark.parametrize("grid, ratio, asked, mean, least, complete", MEASURED)
def test_statistics_of_the_faithful_sampler(grid, ratio, asked, mean, least, complete):
    spec = CubeMask(ratio=ratio)
    draws = 300
    _, counts = coverage(spec, grid, draws, np.random.default_rng(1))
    shares = counts / np.prod(grid)
    assert spec.asked(grid) == asked and counts.max() == asked
    assert shares.mean() == pytest.approx(mean, abs=0.002)
    assert shares.min() > least - 0.02
    assert (counts == asked).mean() == pytest.approx(
        complete, abs=4 * max(0.005, (complete * (1 - complete) / draws) ** 0.5)
    )


def test_statistics_of_areas():
    counts = np.array([faithful_areas((14, 14), 78, np.random.default_rng(i)).sum() for i in range(300)])
    assert counts.mean() / 196 == pytest.approx(0.396, abs=0.002)
    assert 66 <= counts.min() and counts.max() == 78
    assert (counts == 78).mean() == pytest.approx(0.70, abs=0.11)


def test_faithful_cubes_prefer_the_middle():
    often, _ = coverage(CubeMask(), (8, 7, 7), 600, np.random.default_rng(2))
    space, time = often.mean(0), often.mean((1, 2))
    corners = space[[0, 0, -1, -1], [0, -1, 0, -1]]
    assert corners.mean() == pytest.approx(0.11, abs=0.025) and space[3, 3] == pytest.approx(0.70, abs=0.03)
    assert time[[0, 7]].mean() == pytest.approx(0.24, abs=0.03) and time[[3, 4]].mean() == pytest.approx(0.50, abs=0.03)


def test_exact_blocks_prefer_nothing():
    often, _ = coverage(CubeMask(sampler="exact"), (8, 7, 7), 600, np.random.default_rng(3))
    space = often.mean(0)
    assert space.min() > 0.35 and space.max() < 0.45
    assert often.mean((1, 2)).min() > 0.36 and often.mean((1, 2)).max() < 0.45


@pytest.mark.parametrize("sides, legal", [((2, 8), True), ((3, 2), False), ((2, 9), False), ((0, 2), False)])
def test_faithful_blocks_span_no_side(monkeypatch, sides, legal):
    monkeypatch.setattr(masks, "_sides", lambda area, shape: sides)
    rng = np.random.default_rng(0)
    assert faithful_areas((3, 9), 20, rng).any() == legal
    assert faithful_cubes((4, 3, 9), 80, rng).any() == legal


def test_frame_masks_at_the_papers_ratio():
    assert draw_mask(FrameMask(kind="frame"), (8, 7, 7), np.random.default_rng(0)).all((1, 2)).sum() == 3
