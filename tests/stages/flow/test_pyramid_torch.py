"""The parts of TV-L1 in torch against those of scikit-image and SciPy."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import ndimage
from skimage.color import rgb2gray
from skimage.registration._optical_flow_utils import _get_pyramid, _resize_flow
from skimage.transform import pyramid_reduce, warp

from stages.flow.pyramid_torch import enlarged, gradients, grey, median_filtered, pyramid, reduced, warped


def images(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).random(shape, np.float32)


def test_grey_weighs_the_colours_as_the_reference_does():
    frames = np.random.default_rng(0).integers(0, 256, (2, 5, 7, 3), np.uint8)
    assert np.allclose(grey(torch.from_numpy(frames)), rgb2gray(frames), atol=1e-6)


@pytest.mark.parametrize("size", [(40, 60), (41, 57), (17, 100)])
@pytest.mark.parametrize("downscale", [2.0, 1.5, 3.3])
def test_reduced(size, downscale):
    pictures = images(2, *size)
    ours = reduced(torch.from_numpy(pictures), downscale)
    for picture, result in zip(pictures, ours):
        assert np.allclose(result, pyramid_reduce(picture, downscale), atol=2e-6)


@pytest.mark.parametrize("size", [(240, 320), (33, 90), (32, 90), (8, 8)])
@pytest.mark.parametrize(("downscale", "levels", "min_size"), [(2.0, 10, 16), (1.6, 3, 4)])
def test_a_pyramid_ends_where_the_references_does(size, downscale, levels, min_size):
    ours = pyramid(torch.zeros(1, *size), downscale, levels, min_size)
    theirs = _get_pyramid(np.zeros(size, np.float32), downscale, levels, min_size)
    assert [tuple(level.shape[1:]) for level in ours] == [level.shape for level in theirs]


@pytest.mark.parametrize(
    ("old", "new"), [((15, 20), (30, 40)), ((15, 20), (29, 39)), ((7, 9), (20, 13)), ((5, 5), (5, 5))]
)
def test_enlarged(old, new):
    flow = images(2, 3, *old)
    ours = enlarged(torch.from_numpy(flow), new).numpy()
    for number in range(3):
        theirs = _resize_flow(flow[::-1, number], new)[::-1]  # (v, u), as its axes
        assert np.allclose(ours[:, number], theirs, atol=1e-6)


def test_warped_reads_where_the_flow_points_and_repeats_the_border():
    pictures, flow = images(2, 21, 34), 12 * images(2, 2, 21, 34, seed=1) - 6
    ours = warped(torch.from_numpy(pictures), torch.from_numpy(flow)).numpy()
    y, x = np.mgrid[:21, :34].astype(np.float32)
    for number in range(2):
        places = np.stack([y + flow[1, number], x + flow[0, number]])
        assert np.allclose(ours[number], warp(pictures[number], places, mode="edge"), atol=1e-4)


def test_gradients():
    pictures = images(2, 6, 9)
    ours = gradients(torch.from_numpy(pictures)).numpy()
    for number in range(2):
        down, right = np.gradient(pictures[number])
        assert np.allclose(ours[:, number], [right, down], atol=1e-6)


def test_the_median_filter():
    planes = images(2, 3, 11, 8)
    assert np.array_equal(median_filtered(torch.from_numpy(planes)), ndimage.median_filter(planes, [1, 1, 3, 3]))
