"""Pictures at other sizes against scikit-image, SciPy and OpenCV."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage
from skimage.color import rgb2gray
from skimage.transform import pyramid_reduce

from stages.flow.compiled import aligned_zeros, padded, processed
from stages.flow.pyramid import enlarge, level_sizes, linear_taps, nearest, pyramid, resized
from stages.video.flow_spec import Tvl1
from tests.stages.flow.moving_scenes import noise


@pytest.mark.parametrize("size", [(40, 54), (41, 53), (17, 16), (12, 70)])
@pytest.mark.parametrize("downscale", [2.0, 1.5, 2.7])
def test_levels_are_those_of_scikit_image(size, downscale):
    (frame,) = noise(1, *size)
    config = Tvl1(downscale=downscale, min_size=4)
    expected = rgb2gray(frame).astype(np.float32)
    levels = pyramid(frame, level_sizes(*size, config), downscale)
    assert len(levels) > 1
    for number, level in enumerate(levels):
        if number:
            expected = pyramid_reduce(expected, downscale, channel_axis=None)
        assert level.shape == expected.shape
        assert np.abs(level - expected).max() < 1e-6


def test_the_pyramid_ends_at_the_smallest_side_or_the_number_of_levels():
    assert level_sizes(240, 320, Tvl1()) == [(240, 320), (120, 160), (60, 80), (30, 40)]
    assert level_sizes(33, 321, Tvl1()) == [(33, 321), (17, 161)]
    assert level_sizes(32, 320, Tvl1()) == [(32, 320)]
    assert level_sizes(240, 320, Tvl1(nlevel=2)) == [(240, 320), (120, 160)]


@pytest.mark.parametrize("old, new", [((5, 7), (10, 13)), ((6, 4), (11, 8)), ((3, 3), (4, 4))])
def test_flow_is_enlarged_as_by_scipy(old, new):
    values = np.arange(np.prod(old), dtype=np.float32).reshape(old)
    small, large = (aligned_zeros(size[0] + 2, padded(size[1])) for size in (old, new))
    small[1:-1, : old[1]] = values
    enlarge(small, large, nearest(old[0], new[0]), nearest(old[1], new[1]), np.float32(3))
    expected = ndimage.zoom(values, [n / o for n, o in zip(new, old)], order=0, mode="nearest")
    assert np.array_equal(large[1:-1, : new[1]], 3 * expected)


@pytest.mark.parametrize("size, ratio", [((30, 41), 1.25), ((171, 128), 1.25), ((20, 33), 0.8)])
def test_pictures_are_read_bilinearly_as_by_opencv(size, ratio):
    cv2 = pytest.importorskip("cv2")
    picture = noise(1, *size)[0, ..., 0].astype(np.float32)
    expected = cv2.resize(picture, None, fx=1 / ratio, fy=1 / ratio, interpolation=cv2.INTER_LINEAR)
    taps = (linear_taps(old, new, ratio) for old, new in zip(size, expected.shape))
    assert np.abs(resized(picture, *taps) - expected).max() < 1e-3


def test_stored_rows_begin_at_cache_lines_and_have_a_pixel_to_spare():
    for width in (1, 15, 16, 17, 171, 320):
        assert width <= processed(width) < padded(width)
        planes = aligned_zeros(2, 3, padded(width))
        assert (
            all(planes[i, j].ctypes.data % 64 == 0 for i in range(2) for j in range(3)) and not planes.any()
        )
