"""TV-L1 in torch against scikit-image, against motions that are known, and in batches."""

from __future__ import annotations

import weakref
from functools import partial

import numpy as np
import pytest
import torch
from skimage.color import rgb2gray
from skimage.registration._optical_flow import _tvl1
from skimage.registration._optical_flow_utils import _coarse_to_fine
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from stages.flow import tvl1_torch
from stages.flow.tvl1_step import InPlaceStep, pure_step
from stages.flow.tvl1_torch import BYTES_PER_PIXEL, pairs_at_once, tvl1_flow_torch, tvl1_pairs
from stages.video.flow_spec import Tvl1
from tests.project import SHARED_DATA
from tests.stages.flow.moving_scenes import end_point_error, inner, moving, noise, scikit_image, shifted


def flow_of(frames: np.ndarray, **fields: float) -> np.ndarray:
    return tvl1_flow_torch(frames, Tvl1(**fields), "cpu", memory_gb=1.0)


OPTIONS = [
    {},
    {"prefilter": True},
    {"attachment": 5.0, "tightness": 0.2},
    {"num_warp": 2, "num_iter": 3},
    {"tol": 0.02},
    {"tol": 0.02, "prefilter": True},
]


@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_the_reference_is_met(options):
    frames = shifted((83, 110), 2.6, -1.3, frames=3)
    frames[:, 30:50, 40:70] = noise(1, 20, 30)  # a part that stands still, in colour
    reference = scikit_image(frames, **options)
    assert end_point_error(reference, 0) > 1
    assert end_point_error(flow_of(frames, **options), reference) <= 0.001


@pytest.mark.parametrize("size", [(17, 40), (33, 31), (64, 64), (8, 9)])
def test_the_reference_is_met_at_any_size(size):
    frames = shifted(size, 1.2, 0.7)
    assert end_point_error(flow_of(frames), scikit_image(frames)) <= 0.001


@pytest.mark.parametrize("fields", [{"downscale": 1.5}, {"nlevel": 2}, {"min_size": 6, "downscale": 1.7}], ids=str)
def test_the_reference_is_met_with_other_pyramids(fields):
    frames = shifted((60, 75), -2.0, 1.5)
    solver = partial(_tvl1, attachment=15, tightness=0.3, num_warp=5, num_iter=10, tol=1e-4, prefilter=False)
    v, u = _coarse_to_fine(*rgb2gray(frames), solver, **fields)
    assert end_point_error(flow_of(frames, **fields)[0], np.stack([u, v], axis=-1)) <= 0.001


def test_the_reference_is_met_on_a_real_video():
    av = pytest.importorskip("av")
    found = sorted((SHARED_DATA / "ucf101_sample").rglob("*.avi"))
    if not found:
        pytest.skip("the shared sample videos are not here")
    for file in found:
        with av.open(str(file)) as container:
            pictures = [frame.to_ndarray(format="rgb24") for frame, _ in zip(container.decode(video=0), range(12))]
        frames = np.stack([pictures[8], pictures[11]])[:, 60:180, 80:240]
        reference = scikit_image(frames)
        assert end_point_error(flow_of(frames), reference) <= 0.001


@pytest.mark.parametrize(("u", "v"), [(2.0, 0.0), (0.0, -1.5), (0.5, 0.25), (-0.3, 3.0)])
def test_u_points_right_and_v_down_to_a_fraction_of_a_pixel(u, v):
    field = inner(flow_of(shifted((64, 90), u, v)))
    assert end_point_error(field, (u, v)) < 0.1


@pytest.mark.parametrize(("axis", "component"), [(2, 0), (1, 1)])
def test_a_mirrored_video_has_mirrored_flow_with_one_component_negated(axis, component):
    frames = shifted((60, 70), 1.5, 0.8)
    there, mirrored = flow_of(frames), np.flip(flow_of(np.flip(frames, axis)), axis).copy()
    mirrored[..., component] *= -1
    assert end_point_error(inner(there), inner(mirrored)) < 0.1


def test_a_transposed_video_has_components_exchanged():
    frames = shifted((60, 70), 1.5, 0.8)
    turned = flow_of(np.ascontiguousarray(frames.swapaxes(1, 2)))
    assert end_point_error(turned.swapaxes(1, 2)[..., ::-1], flow_of(frames)) < 1e-3


def test_rotation_and_zoom():
    size, centre = (90, 90), 44.5
    y, x = np.mgrid[: size[0], : size[1]] - centre
    angle, zoom = 0.04, 1.04
    turn = zoom * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    back = np.linalg.inv(turn)

    def was(x, y):
        x, y = x - centre, y - centre
        return back[0, 0] * x + back[0, 1] * y + centre, back[1, 0] * x + back[1, 1] * y + centre

    truth = np.stack([turn[0, 0] * x + turn[0, 1] * y - x, turn[1, 0] * x + turn[1, 1] * y - y], axis=-1)
    assert end_point_error(inner(flow_of(moving(size, was))[0]), inner(truth)) < 0.15


@pytest.mark.parametrize("levels", [(0, 0), (255, 255), (20, 200)])
def test_constant_frames_do_not_move(levels):
    frames = np.stack([np.full((40, 50, 3), level, np.uint8) for level in levels])
    for prefilter in (False, True):
        assert np.abs(flow_of(frames, prefilter=prefilter)).max() < 1e-6


@pytest.mark.parametrize("shape", [(0, 20, 20), (1, 20, 20), (3, 1, 20), (3, 20, 1), (3, 2, 3)])
def test_the_smallest_videos(shape):
    field = flow_of(noise(*shape))
    assert field.shape == (max(shape[0] - 1, 0), *shape[1:], 2) and field.dtype == np.float32
    assert np.isfinite(field).all()


def test_each_pair_has_its_own_two_frames():
    frames = shifted((40, 50), 1.0, 0.0, frames=8)
    frames[5:] = shifted((40, 50), 0.0, -1.0, frames=3, seed=2)
    field = flow_of(frames)
    alone = np.concatenate([flow_of(frames[i : i + 2]) for i in range(7)])
    assert np.abs(field - alone).max() < 1e-3
    assert end_point_error(inner(field[:4]), (1, 0)) < 0.1 and end_point_error(inner(field[5:]), (0, -1)) < 0.1


def test_pairs_that_end_early_do_not_touch_the_others(monkeypatch):
    """A tolerance at which the still, the slow and the fast pair end after different numbers of warps."""
    pairs = [shifted((40, 50), u, 0.0, seed=seed) for seed, u in enumerate([0.0, 0.3, 3.0, 0.0, 1.0])]
    config = Tvl1(tol=0.004)
    first, second = (torch.from_numpy(rgb2gray(np.stack([pair[i] for pair in pairs]))).float() for i in range(2))
    sizes = []

    def counted(state, linear, weights):
        sizes.append(state.flow.shape[1])
        return pure_step(state, linear, weights)

    together = tvl1_pairs(first, second, config, counted)
    assert len(set(sizes)) >= 3 and min(sizes) < 5, "the case does not test what it is for"
    for number in range(5):
        alone = tvl1_pairs(first[number : number + 1], second[number : number + 1], config, InPlaceStep())
        assert torch.allclose(together[number], alone[0], atol=1e-4)


def test_the_same_bits_every_time_and_frames_left_as_they_are():
    frames = noise(5, 33, 47)
    before = frames.copy()
    frames.flags.writeable = False
    assert np.array_equal(flow_of(frames), flow_of(frames))
    assert np.array_equal(frames, before)


class Peak(TorchDispatchMode):
    """Largest number of bytes in tensors that lived at one time."""

    def __init__(self) -> None:
        super().__init__()
        self.peak, self._sizes = 0, {}

    def __torch_dispatch__(self, function, types, arguments=(), options=None):
        result = function(*arguments, **(options or {}))
        for tensor in tree_leaves(result):
            if isinstance(tensor, torch.Tensor):
                storage = tensor.untyped_storage()
                if storage._cdata not in self._sizes:
                    self._sizes[storage._cdata] = storage.nbytes()
                    weakref.finalize(storage, self._sizes.pop, storage._cdata, None)
        self.peak = max(self.peak, sum(self._sizes.values()))
        return result


@pytest.mark.parametrize("step", [InPlaceStep(), pure_step], ids=["in_place", "pure"])
@pytest.mark.parametrize("prefilter", [False, True])
def test_memory_stays_below_what_is_reckoned_with(monkeypatch, step, prefilter):
    monkeypatch.setattr(tvl1_torch, "choose_step", lambda compiled, device, weights: step)
    monkeypatch.setattr(tvl1_torch, "CPU_PIXELS", 10**9)
    frames, pixels = noise(9, 60, 80), 8 * 60 * 80
    frames[1] = frames[0]  # a pair that ends early: the others are copied
    with Peak() as memory:
        tvl1_flow_torch(frames, Tvl1(prefilter=prefilter, num_iter=2), "cpu", memory_gb=BYTES_PER_PIXEL * pixels / 1e9)
    assert 0.5 * BYTES_PER_PIXEL < memory.peak / pixels < BYTES_PER_PIXEL


def test_batches_follow_the_memory():
    cuda = torch.device("cuda")
    assert pairs_at_once(240, 320, cuda, BYTES_PER_PIXEL * 240 * 320 * 7.5 / 1e9) == 7
    assert pairs_at_once(240, 320, cuda, 1e-6) == 1
    assert pairs_at_once(240, 320, torch.device("cpu"), 1e3) == 2
