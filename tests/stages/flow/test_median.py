"""The median filter of flow against SciPy's, and its network against sorting."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from stages.flow.compiled import padded
from stages.flow.median import MedianFilter, selection_network


@pytest.mark.parametrize("side", [3, 5])
@given(height=st.integers(1, 12), width=st.integers(1, 40), seed=st.integers(0, 99))
@settings(max_examples=25, deadline=None)
def test_it_is_the_median_at_any_size(side, height, width, seed):
    values = np.random.default_rng(seed).normal(size=(height, width)).round(1).astype(np.float32)  # with ties
    source = np.full((height + 2, padded(width)), np.nan, np.float32)
    source[1:-1, :width] = values
    target = np.empty_like(source)
    MedianFilter(side, width)(source, target, width)
    assert np.array_equal(target[1:-1, :width], ndimage.median_filter(values, side, mode="nearest"))


@pytest.mark.parametrize("count", [1, 3, 5, 9, 11])
def test_the_network_finds_the_median_of_all_zeros_and_ones(count):
    """If it does that, it does it of any values (0-1 principle)."""
    values = np.array(list(product((0, 1), repeat=count))).T
    expected = np.sort(values, axis=0)[count // 2]
    for low, high in selection_network(count):
        values[low], values[high] = (
            np.minimum(values[low], values[high]),
            np.maximum(values[low], values[high]),
        )
    assert np.array_equal(values[count // 2], expected)


def test_the_network_leaves_out_what_does_not_matter():
    assert len(selection_network(9)) == 22 and len(selection_network(25)) == 113
