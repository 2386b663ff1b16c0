"""TV-L1 on the CPU against scikit-image, against motions that are known, and over threads."""

from __future__ import annotations

from functools import partial

import av
import numpy as np
import pytest
from skimage.color import rgb2gray
from skimage.registration._optical_flow import _tvl1
from skimage.registration._optical_flow_utils import _coarse_to_fine

from stages.flow.pyramid import grey
from stages.flow.tvl1 import Solver, tvl1_flow
from stages.video.flow_spec import Tvl1
from tests.project import SHARED_DATA
from tests.stages.flow.moving_scenes import end_point_error, inner, moving, noise, scikit_image, shifted


def flow_of(frames: np.ndarray, threads: int = 1, **fields: float) -> np.ndarray:
    return tvl1_flow(frames, Tvl1(**fields), threads)


OPTIONS = [
    {},
    {"prefilter": True},
    {"attachment": 5.0, "tightness": 0.2},
    {"num_warp": 1, "num_iter": 1},
    {"num_warp": 2, "num_iter": 3},
    {"num_warp": 3, "num_iter": 40},
    {"tol": 0.02},
    {"tol": 0.02, "prefilter": True},
]


@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_the_reference_is_met(options):
    frames = shifted((83, 110), 2.6, -1.3, frames=3)
    frames[:, 30:50, 40:70] = noise(1, 20, 30)  # a part that stands still, in colour
    reference = scikit_image(frames, **options)
    assert end_point_error(reference, 0) > 0.1
    assert end_point_error(flow_of(frames, **options), reference) <= 0.001


@pytest.mark.parametrize("size", [(17, 40), (33, 31), (64, 64), (8, 9), (2, 2), (40, 3)])
def test_the_reference_is_met_at_any_size(size):
    frames = shifted(size, 1.2, 0.7)
    assert end_point_error(flow_of(frames), scikit_image(frames)) <= 0.001


@pytest.mark.parametrize(
    "fields", [{"downscale": 1.5}, {"nlevel": 2}, {"min_size": 6, "downscale": 1.7}], ids=str
)
def test_the_reference_is_met_with_other_pyramids(fields):
    frames = shifted((60, 75), -2.0, 1.5)
    solver = partial(_tvl1, attachment=15, tightness=0.3, num_warp=5, num_iter=10, tol=1e-4, prefilter=False)
    v, u = _coarse_to_fine(*rgb2gray(frames), solver, **fields)
    assert end_point_error(flow_of(frames, **fields)[0], np.stack([u, v], axis=-1)) <= 0.001


REAL = [
    "ucf101_sample/ApplyEyeMakeup",
    "ucf101_sample/BaseballPitch",
    "fight/videos/Fight",
    "lips20/videos/PhraseGoodBye",
]


@pytest.mark.parametrize("folder", REAL)
def test_the_reference_is_met_on_real_videos(folder):
    videos = sorted((SHARED_DATA / folder).glob("*.*"))
    if not videos:
        pytest.skip("the small real data sets are not here")
    with av.open(str(videos[0])) as container:
        frames = np.stack([f.to_ndarray(format="rgb24") for f, _ in zip(container.decode(video=0), range(3))])
    frames = frames[:, :241, :319]  # odd sizes, and bounded time
    assert end_point_error(flow_of(frames), scikit_image(frames, dtype=np.float32)) <= 0.001


def test_threads_do_not_change_a_bit():
    frames = shifted((60, 70), 1.5, 0.5, frames=6)
    once = flow_of(frames)
    assert once.shape == (5, 60, 70, 2) and once.dtype == np.float32
    assert np.array_equal(once, flow_of(frames, threads=3)) and np.array_equal(once, flow_of(frames))


@pytest.mark.parametrize("u, v", [(1, 0), (0, 1), (0.5, 0), (-0.3, 0.7), (3.4, -2.2)])
def test_u_points_right_and_v_down_to_a_fraction_of_a_pixel(u, v):
    field = inner(flow_of(shifted((70, 90), u, v))[0])
    assert np.median(field[..., 0]) == pytest.approx(u, abs=0.05)
    assert np.median(field[..., 1]) == pytest.approx(v, abs=0.05)


@pytest.mark.parametrize("axis, component", [(2, 0), (1, 1)])
def test_a_mirrored_video_has_mirrored_flow_with_one_component_negated(axis, component):
    frames = shifted((64, 80), 1.7, -0.9)
    expected = np.flip(flow_of(frames), axis).copy()
    expected[..., component] *= -1
    mirrored = flow_of(np.ascontiguousarray(np.flip(frames, axis)))
    assert end_point_error(inner(mirrored), inner(expected)) < 0.05


def test_rotation_and_zoom():
    """Turning by w and growing by s about the centre: a point at r moves by (s - 1) r + w r', up to second order."""
    size, angle, zoom = (90, 110), 0.02, 1.02
    centre_y, centre_x = (size[0] - 1) / 2, (size[1] - 1) / 2

    def back(x, y):
        x, y = (x - centre_x) / zoom, (y - centre_y) / zoom
        return (
            np.cos(angle) * x + np.sin(angle) * y + centre_x,
            -np.sin(angle) * x + np.cos(angle) * y + centre_y,
        )

    y, x = np.mgrid[: size[0], : size[1]] - np.array([centre_y, centre_x])[:, None, None]
    u = zoom * (np.cos(angle) * x - np.sin(angle) * y) - x
    v = zoom * (np.sin(angle) * x + np.cos(angle) * y) - y
    found = flow_of(moving(size, back))[0]
    assert end_point_error(inner(found), inner(np.stack([u, v], -1))) < 0.08
    assert end_point_error(inner(np.stack([u, v], -1)), 0) > 0.7


@pytest.mark.parametrize("level", [0, 37, 255])
def test_constant_frames_do_not_move(level):
    assert not flow_of(np.full((3, 40, 50, 3), level, np.uint8)).any()


def test_frames_of_two_constants_are_finite():
    frames = np.zeros((2, 40, 50, 3), np.uint8)
    frames[1] = 200
    assert np.isfinite(flow_of(frames)).all()


@pytest.mark.parametrize("slope", [1e-25, 1e-21, 1e-19, 1e-15])
def test_slopes_too_small_to_square_are_no_slope(slope):
    """Squares below 1e-38 are denormal or zero; the reciprocal of a denormal one is infinite."""
    first = np.outer(np.ones(20), slope * np.arange(30)).astype(np.float32)
    for second in (first, first + first[:, ::-1]):
        assert np.abs(Solver([first.shape], Tvl1())([first], [second])).max() < 1e-6


def test_what_a_solver_did_before_does_not_matter():
    wide, narrow = shifted((40, 70), 3.0, 1.0), shifted((40, 70), -0.5, 0.2, frames=2, seed=3)
    both = flow_of(np.concatenate([wide, narrow]))
    assert np.array_equal(both[2], flow_of(narrow)[0])


def test_frames_may_be_read_only_views_of_any_strides():
    """And nothing is compiled anew for them."""
    frames = shifted((40, 50), 1.0, 0.5, frames=3)
    backwards = frames[:, :, ::-1].copy()[:, :, ::-1]
    backwards.flags.writeable = False
    assert np.array_equal(flow_of(backwards), flow_of(frames))
    assert len(grey.signatures) == 1


def test_colours_count_as_luminance():
    """Red falls to 0.2125 and green to 0.7154: a green pattern moves the flow where an equal blue one is drowned."""
    green, blue = shifted((64, 64), 2.0, 0.0), shifted((64, 64), -2.0, 0.0, seed=5)
    frames = np.stack([np.full_like(green[..., 0], 128), green[..., 0], blue[..., 0]], axis=-1)
    assert np.median(flow_of(frames)[0, ..., 0]) > 1
    assert np.median(flow_of(frames[..., [0, 2, 1]])[0, ..., 0]) < -1


def test_identical_frames_do_not_move():
    assert np.abs(flow_of(np.repeat(noise(1, 60, 50), 3, axis=0))).max() < 1e-6


@pytest.mark.parametrize(
    "shape", [(0, 20, 30), (1, 20, 30), (2, 20, 30), (3, 1, 20), (3, 20, 1), (3, 2, 3), (2, 1, 1)]
)
def test_the_smallest_videos(shape):
    field = flow_of(noise(*shape), prefilter=True)
    assert field.shape == (max(shape[0] - 1, 0), *shape[1:], 2) and field.dtype == np.float32
    assert np.isfinite(field).all()


@pytest.mark.parametrize("axis", [1, 2])
def test_a_side_of_one_pixel_counts_as_two_alike(axis):
    twice = shifted((40, 40), 1.0, 1.0)
    twice = np.repeat(np.take(twice, [20], axis), 2, axis)
    assert np.array_equal(flow_of(np.take(twice, [0], axis)), np.take(flow_of(twice), [0], axis))


@pytest.mark.filterwarnings("ignore:overflow encountered")
def test_settings_beyond_reason_give_no_flow_but_do_not_crash():
    assert flow_of(shifted((40, 50), 1.0, 1.0), tightness=1e-45).shape == (1, 40, 50, 2)
