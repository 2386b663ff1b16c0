"""HOG against scikit-image, against MaskFeat's operations written one by one, and on pictures worked by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from skimage.data import astronaut
from skimage.feature import hog as reference_hog

from stages.maskfeat.hog import bin_edges, gaussian_window, hog, hog_batched, votes_batched
from stages.maskfeat.target_spec import Hog

TOLERANCE = 1e-6
RAMPS = ((1, 0), (0, 1), (1, 1), (1, -1), (2, 1), (1, 3), (3, -2), (-1, 2), (5, 2), (-3, -4), (1, -5))
DTYPES = (torch.float32, torch.float64)


def scikit(planes: torch.Tensor, bins: int = 9) -> torch.Tensor:
    """[P, H, W] -> [P, bins, H // 8, W // 8] in scikit-image's own convention: angles from the horizontal."""
    cells = [
        reference_hog(plane, bins, (8, 8), (1, 1), block_norm="L2", feature_vector=False)[:, :, 0, 0]
        for plane in planes.numpy()
    ]
    return torch.from_numpy(np.stack(cells)).permute(0, 3, 1, 2).double()


def scikit_transposed(planes: torch.Tensor, bins: int = 9) -> torch.Tensor:
    """The same with angles from the vertical: of the transposed picture, cells transposed back."""
    return scikit(planes.transpose(1, 2).contiguous(), bins).transpose(2, 3)


def photo(dtype: torch.dtype = torch.float32) -> torch.Tensor:
    """A part of a photo in whole grey levels whose sides are no multiples of 8, [3, 93, 122]."""
    return torch.from_numpy(astronaut()[20:113, 150:272].copy()).permute(2, 0, 1).to(dtype).contiguous()


def ramps(dtype: torch.dtype) -> torch.Tensor:
    y, x = torch.meshgrid(torch.arange(24), torch.arange(32), indexing="ij")
    return torch.stack([a * x + b * y for a, b in RAMPS]).to(dtype)


def step_by_step(planes: torch.Tensor, cell: int = 8) -> torch.Tensor:
    """Sobel, atan2 and a loop over pixels, in float64: the definition, without any of our short cuts."""
    padded = np.pad(planes.double().numpy(), ((0, 0), (1, 1), (1, 1)), mode="reflect")
    out = np.zeros((len(planes), 9, planes.shape[1] // cell, planes.shape[2] // cell))
    for plane, row, column in np.ndindex(len(planes), out.shape[2] * cell, out.shape[3] * cell):
        near = padded[plane, row : row + 3, column : column + 3]
        across = (near[:, 0] - near[:, 2]) @ (1, 2, 1)
        down = (near[0] - near[2]) @ (1, 2, 1)
        number = math.floor(math.atan2(across, down) / math.pi * 9) % 9
        out[plane, number, row // cell, column // cell] += math.hypot(across, down)
    return torch.from_numpy(out / np.maximum(np.linalg.norm(out, axis=1, keepdims=True), 1e-12))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("bins", [6, 8, 9, 12])
def test_parity_on_a_photo_with_the_central_kernel(dtype, bins):
    spec = Hog(kernel="central", bins=bins)
    assert (hog(photo(dtype), spec) - scikit_transposed(photo(), bins)).abs().max() < TOLERANCE
    usual = hog(photo(dtype), spec.model_copy(update={"angle": "from_horizontal"}))
    assert (usual - scikit(photo(), bins)).abs().max() < TOLERANCE


@pytest.mark.parametrize("dtype", DTYPES)
def test_parity_on_ramps_with_sobel(dtype):
    assert (hog(ramps(dtype)) - scikit_transposed(ramps(torch.float64))).abs().max() < TOLERANCE
    assert (hog(ramps(dtype), Hog(angle="from_horizontal")) - scikit(ramps(torch.float64))).abs().max() < TOLERANCE


def test_sobel_on_a_photo_is_not_the_central_difference():
    assert (hog(photo()) - scikit_transposed(photo())).abs().mean() > 0.03


def test_equal_to_the_definition_pixel_by_pixel():
    part = photo()[:, :34, :43]
    assert (hog(part) - step_by_step(part)).abs().max() < TOLERANCE


def test_the_conventions_are_transposes_of_each_other():
    usual = hog(photo().transpose(1, 2), Hog(angle="from_horizontal")).transpose(2, 3)
    assert torch.equal(hog(photo(), Hog()) > 0, usual > 0) and (hog(photo(), Hog()) - usual).abs().max() < TOLERANCE


@pytest.mark.parametrize("kernel", ["sobel", "central"])
@pytest.mark.parametrize("angle", ["from_vertical", "from_horizontal"])
@pytest.mark.parametrize("window", [0, 16])
@pytest.mark.parametrize("dtype", DTYPES)
def test_the_compiled_kernel_equals_whole_batch_operations(kernel, angle, window, dtype):
    spec = Hog(kernel=kernel, angle=angle, gaussian_window=window, cell=4, bins=7)
    planes = photo(dtype)[:, :80, :112]
    assert (hog(planes, spec) - hog_batched(planes, spec)).abs().max() < (
        TOLERANCE if dtype == torch.float32 else 1e-14
    )


@pytest.mark.parametrize("angle", ["from_vertical", "from_horizontal"])
def test_both_forms_decide_ties_alike(angle):
    """Rounding errors of a normalised photo would send pixels on the edge of two bins to one or the other."""
    normalised = photo()[:, :88, :120].div(255).sub(0.45).div(0.225)
    spec = Hog(angle=angle)
    assert (hog(normalised, spec) - hog_batched(normalised, spec)).abs().max() < TOLERANCE


def test_stripes_vote_in_one_bin():
    vertical = torch.zeros(16, 16)
    vertical[:, 8:] = 1
    assert torch.equal(hog(vertical).argmax(0), torch.full((2, 2), 4)) and torch.allclose(
        hog(vertical)[4], torch.ones(2, 2)
    )
    horizontal = hog(
        vertical.T.contiguous()
    )  # exactly on the edge between bins 8 and 0: to bin 0, whichever way it points
    assert torch.allclose(horizontal[0], torch.ones(2, 2)) and torch.equal(horizontal, hog(1 - vertical.T))


def test_a_mirror_maps_bin_k_to_8_minus_k():
    """But where the gradient is exactly vertical, as in the outermost columns, whose neighbours are mirrored."""
    noise = torch.randn(2, 32, 40, generator=torch.Generator().manual_seed(0))
    difference = (hog(noise.flip(-1)) - hog(noise).flip(1, 3)).abs()
    assert difference[..., 1:-1].max() < TOLERANCE
    votes = (votes_batched(noise.flip(-1), Hog()) - votes_batched(noise, Hog()).flip(1, 3)).abs()
    assert votes[:, 1:8].max() < 1e-4 < votes[:, [0, 8]].max()


def test_cells_have_length_one_and_sums_are_scaled_away():
    lengths = hog(photo()).norm(dim=1)
    assert torch.allclose(lengths, torch.ones_like(lengths))
    assert (hog(photo() * 4 + 16) - hog(photo())).abs().max() < TOLERANCE


def test_flat_cells_are_short_and_one_grey_level_is_content():
    flat = torch.full((3, 32, 32), 0.3)
    assert hog(flat).eq(0).all()
    rounding = flat + 1e-7 * torch.randn(3, 32, 32, generator=torch.Generator().manual_seed(0))
    assert hog(rounding).norm(dim=1).max() < 0.1
    assert (hog(rounding) - hog_batched(rounding, Hog())).abs().max() < TOLERANCE
    assert hog(rounding, Hog(floor=1e-12)).norm(dim=1).min() > 0.99
    dot = flat.clone()
    dot[:, 7, 7] += 1 / 255 / 0.229  # only its diagonal neighbour lies in the last of the four cells
    assert torch.allclose(hog(dot)[:, :, :2, :2].norm(dim=1), torch.ones(3, 2, 2))


def test_gaussian_window():
    window = gaussian_window(16)
    assert window.mean() == pytest.approx(1) and np.array_equal(window, window.T) and window[7, 7] == window.max()
    assert window[8, 15] / window[8, 8] == pytest.approx(math.exp(-0.5 * (7.5**2 - 0.5**2) / 64))
    planes = photo()[:, :64, :96]
    change = (hog(planes, Hog(gaussian_window=16)) - hog(planes)).norm() / hog(planes).norm()
    assert 0.03 < change < 0.2
    with pytest.raises(ValueError, match="16 does not tile 93 x 122"):
        hog(photo(), Hog(gaussian_window=16))


def test_float32_inside_autocast_and_for_half_numbers():
    with torch.autocast("cpu", dtype=torch.bfloat16):
        inside = hog(photo())
        assert votes_batched(photo(), Hog()).dtype == torch.float32
    assert inside.dtype == torch.float32 and torch.equal(inside, hog(photo()))
    assert hog(photo().bfloat16()).dtype == torch.float32  # whole numbers up to 255 fit bfloat16's 8 bits
    assert torch.equal(hog(photo().bfloat16()), hog(photo()))
    assert hog(photo().to(torch.uint8)).equal(hog(photo()))


def test_any_leading_axes_layouts_and_threads_give_the_same_bits():
    planes = photo()[:, :64, :64].reshape(1, 3, 1, 64, 64).repeat(3, 1, 2, 1, 1)
    expected = hog(planes)
    assert expected.shape == (3, 3, 2, 9, 8, 8)
    assert torch.equal(expected[2, 1, 1], hog(planes[2, 1, 1]))
    assert torch.equal(expected, hog(planes.to(memory_format=torch.channels_last_3d)))
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(4)
        assert torch.equal(expected, hog(planes))
    finally:
        torch.set_num_threads(before)


def test_no_gradient_flows():
    assert not hog(photo().requires_grad_()).requires_grad


def test_too_small_a_picture():
    with pytest.raises(ValueError, match="7 x 20 pixels have no whole cell of 8"):
        hog(torch.zeros(7, 20))
    assert hog(torch.zeros(0, 3, 16, 16)).shape == (0, 3, 9, 2, 2)


def test_edges_fall_from_infinity():
    edges = bin_edges(4)
    assert np.allclose(edges[1:-1], [1, 0, -1]) and edges[0] == np.inf and edges[-1] == -np.inf
