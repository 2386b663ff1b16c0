"""Random choices of the augmentation: shares, ranges, and where crops lie."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, strategies as st

from stages.video.augment import LIGHT, STRONG, Crop, draw, draw_pair, place

PAIRS = [draw_pair(np.random.default_rng((7, i))) for i in range(6000)]
VIEWS = [view for pair in PAIRS for view in (pair.query, pair.key)]


def share(values) -> float:
    return float(np.mean(list(values)))


def strong(view) -> bool:
    """Jitter, grey or blur give a strong recipe away; with none of them (p = 0.08) it looks like a light one."""
    return view.colour.factors is not None or view.colour.grey is not None or view.colour.sigma is not None


def test_half_of_the_pairs_are_one_clip():
    assert share(pair.clips == (0, 0) for pair in PAIRS) == pytest.approx(0.5, abs=0.02)
    assert {pair.clips for pair in PAIRS} == {(0, 0), (0, 1)}


def test_one_clip_has_one_strong_and_one_light_side():
    ones = [pair for pair in PAIRS if pair.clips == (0, 0)]
    assert not any(strong(pair.query) and strong(pair.key) for pair in ones)
    shown = 1 - 0.2 * 0.8 * 0.5  # share of strong recipes that show
    assert share(strong(pair.query) for pair in ones) == pytest.approx(0.5 * shown, abs=0.03)
    assert share(strong(pair.key) for pair in ones) == pytest.approx(0.5 * shown, abs=0.03)


def test_two_clips_are_strong_independently_of_each_other():
    twos = [pair for pair in PAIRS if pair.clips == (0, 1)]
    shown = 0.3 * (1 - 0.2 * 0.8 * 0.5)
    assert share(strong(pair.query) for pair in twos) == pytest.approx(shown, abs=0.03)
    assert share(strong(pair.query) and strong(pair.key) for pair in twos) == pytest.approx(shown**2, abs=0.02)


def test_shares_and_ranges_of_the_strong_recipe():
    drawn = [draw(STRONG, np.random.default_rng((1, i))) for i in range(4000)]
    jittered = [a.colour.factors for a in drawn if a.colour.factors]
    blurred = [a.colour.sigma for a in drawn if a.colour.sigma is not None]
    assert len(jittered) / 4000 == pytest.approx(0.8, abs=0.02)
    assert len(blurred) / 4000 == pytest.approx(0.5, abs=0.03)
    assert share(a.colour.grey is not None for a in drawn) == pytest.approx(0.2, abs=0.02)
    assert share(a.flip for a in drawn) == pytest.approx(0.5, abs=0.03)
    assert {a.colour.grey for a in drawn} == {None, 0, 1, 2}
    assert len({a.colour.order for a in drawn}) == 24
    for i, (low, high) in enumerate([(0.6, 1.4)] * 3 + [(-0.1, 0.1)]):
        values = [factors[i] for factors in jittered]
        assert low <= min(values) < low + 0.01 and high - 0.01 < max(values) <= high
    assert 0.1 <= min(blurred) < 0.12 and 1.98 < max(blurred) <= 2.0


def test_the_light_recipe_leaves_colours_alone():
    drawn = [draw(LIGHT, np.random.default_rng((2, i))) for i in range(500)]
    assert not any(strong(a) for a in drawn)
    assert share(a.flip for a in drawn) == pytest.approx(0.5, abs=0.07)


def test_areas_and_aspects_are_those_of_the_paper():
    areas = np.array([view.crop.areas for view in VIEWS])
    aspects = np.array([view.crop.aspects for view in VIEWS])
    assert 0.2 <= areas.min() and areas.max() <= 1 and areas.mean() == pytest.approx(0.6, abs=0.01)
    assert 3 / 4 <= aspects.min() and aspects.max() <= 4 / 3
    assert np.log(aspects).mean() == pytest.approx(0, abs=0.01)  # wide and high alike


def test_the_same_seed_draws_the_same():
    assert draw_pair(np.random.default_rng(3)) == draw_pair(np.random.default_rng(3))
    assert draw_pair(np.random.default_rng(3)) != draw_pair(np.random.default_rng(4))


@given(st.integers(0, 10_000), st.integers(1, 400), st.integers(1, 400))
def test_crops_lie_inside_and_keep_their_shape(seed, height, width):
    crop = draw(LIGHT, np.random.default_rng(seed)).crop
    top, left, h, w = place(crop, height, width)
    assert 0 <= top <= top + h <= height and 0 <= left <= left + w <= width and h > 0 and w > 0
    if min(height, width) > 40 and 0.75 < width / height < 1.33:
        assert 3 / 4 - 0.1 < w / h < 4 / 3 + 0.1
        assert h * w > 0.18 * height * width


def test_a_try_that_does_not_fit_is_drawn_again():
    crop = Crop(areas=(1.0, 0.25), aspects=(4 / 3, 1.0), down=0.5, right=1 - 1e-9)
    # The first would be 115 wide and 87 high; the second is half of each side, in the middle and at the right.
    assert place(crop, 100, 100) == (25, 50, 50, 50)


def test_a_picture_that_nothing_fits_in_is_cut_in_the_middle_not_squashed():
    crop = Crop(areas=(1.0,), aspects=(1.0,), down=0.0, right=0.0)
    assert place(crop, 10, 100) == (0, 45, 10, 10)
    assert place(crop, 100, 10) == (45, 0, 10, 10)


def test_every_position_is_reached():
    crops = [draw(LIGHT, np.random.default_rng((5, i))).crop for i in range(3000)]
    small = [Crop((0.25,), (1.0,), c.down, c.right) for c in crops]
    assert {place(c, 8, 8)[:2] for c in small} == {(top, left) for top in range(5) for left in range(5)}
