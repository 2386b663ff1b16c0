"""OpenCV's scheme of TV-L1 against OpenCV, where it is installed, and against motions that are known."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from stages.flow.dual_tvl1 import dual_tvl1_flow, level_sizes
from stages.video.flow_spec import DualTvl1
from tests.stages.flow.moving_scenes import end_point_error, inner, noise, shifted


def flow_of(frames: np.ndarray, threads: int = 1, **fields: float) -> np.ndarray:
    return dual_tvl1_flow(frames, DualTvl1(kind="dual_tvl1", **fields), threads)


def opencv(frames: np.ndarray, **fields: float) -> np.ndarray:
    cv2 = pytest.importorskip("cv2")
    if not hasattr(cv2, "optflow"):
        pytest.skip("this OpenCV comes without its contributed modules")
    config = DualTvl1(kind="dual_tvl1", **fields)
    solver = cv2.optflow.DualTVL1OpticalFlow_create(
        tau=config.tau, theta=config.theta, nscales=config.scales, warps=config.warps, epsilon=config.epsilon
    )
    solver.setLambda(config.attachment)
    solver.setInnerIterations(config.inner_iterations)
    solver.setOuterIterations(config.outer_iterations)
    solver.setMedianFiltering(config.median_filter)
    solver.setScaleStep(config.scale_step)
    greys = [cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY) for frame in frames]
    return np.stack([solver.calc(one, two, None) for one, two in pairwise(greys)])


def places_are_exact() -> bool:
    """OpenCV before version 5 reads between pixels at 32 places only: a difference of some 0.01 pixels."""
    return int(pytest.importorskip("cv2").__version__.split(".")[0]) >= 5


OPTIONS = [
    {"outer_iterations": 3},
    {"median_filter": 1, "inner_iterations": 7, "outer_iterations": 1},
    {"median_filter": 3, "attachment": 0.05, "tau": 0.2, "theta": 0.4},
    {"epsilon": 1e-6, "outer_iterations": 2},
]


@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_opencv_is_met_before_the_first_warp_to_rounding(options):
    frames = shifted((60, 83), 0.8, -0.4)
    frames[:, 20:40, 30:60] = noise(2, 20, 30)  # colourful, and no motion that could be found
    options = {"scales": 1, "warps": 1, **options}
    theirs = opencv(frames, **options)
    assert end_point_error(theirs, 0) > 0.1
    assert np.abs(flow_of(frames, **options) - theirs).max() < 1e-3


WARPED = [
    {"scales": 1, "warps": 2},
    {"scales": 2, "warps": 1, "scale_step": 0.5},
    {"outer_iterations": 1, "median_filter": 3},
    {"epsilon": 1e-6, "outer_iterations": 3},
]


@pytest.mark.parametrize("options", WARPED, ids=str)
def test_opencv_is_met_after_warps_and_across_levels(options):
    frames = shifted((90, 121), 2.3, -1.1)
    theirs = opencv(frames, **options)
    assert end_point_error(theirs, 0) > 0.5
    assert end_point_error(flow_of(frames, **options), theirs) < (0.001 if places_are_exact() else 0.03)


def test_opencv_is_met_with_its_defaults_as_well_as_it_meets_itself():
    """Rounding decides when iterations stop, and where pixels at the border go: two builds of OpenCV differ as much."""
    frames = shifted((90, 121), 2.3, -1.1)
    ours, theirs = flow_of(frames), opencv(frames)
    assert end_point_error(ours, theirs) < (0.03 if places_are_exact() else 0.06)
    assert end_point_error(inner(ours), inner(theirs)) < (0.01 if places_are_exact() else 0.06)


def test_with_its_defaults_it_finds_the_motion():
    field = flow_of(shifted((90, 121), 2.3, -1.1))
    assert end_point_error(inner(field), (2.3, -1.1)) < 0.2


@pytest.mark.parametrize("axis, component", [(2, 0), (1, 1)])
def test_a_mirrored_video_has_mirrored_flow_with_one_component_negated(axis, component):
    frames = shifted((64, 80), 1.7, -0.9)
    expected = np.flip(flow_of(frames), axis).copy()
    expected[..., component] *= -1
    assert end_point_error(inner(flow_of(np.flip(frames, axis))), inner(expected)) < 0.05


@pytest.mark.parametrize("u, v", [(1, 0), (0, 1), (-2.5, 0.5)])
def test_u_points_right_and_v_down(u, v):
    field = inner(flow_of(shifted((64, 80), u, v), inner_iterations=10, outer_iterations=2)[0])
    assert np.median(field[..., 0]) == pytest.approx(u, abs=0.1)
    assert np.median(field[..., 1]) == pytest.approx(v, abs=0.1)


def test_threads_do_not_change_a_bit():
    frames = shifted((40, 50), 1.0, 0.5, frames=4)
    assert np.array_equal(flow_of(frames, outer_iterations=1), flow_of(frames, threads=3, outer_iterations=1))


@pytest.mark.parametrize("levels", [(9, 9), (0, 0), (0, 200)])
def test_constant_frames_do_not_move(levels):
    frames = np.stack([np.full((40, 50, 3), level, np.uint8) for level in levels])
    assert not flow_of(frames).any()


def test_the_pyramid_ends_before_sides_of_16_pixels():
    config = DualTvl1(kind="dual_tvl1")
    assert level_sizes(240, 320, config) == [(240, 320), (192, 256), (154, 205), (123, 164), (98, 131)]
    assert level_sizes(24, 40, config) == [(24, 40), (19, 32)]


@pytest.mark.parametrize("shape", [(0, 20, 30), (1, 20, 30), (2, 20, 30), (2, 1, 9), (2, 9, 1), (3, 2, 2)])
def test_the_smallest_videos(shape):
    field = flow_of(noise(*shape))
    assert field.shape == (max(shape[0] - 1, 0), *shape[1:], 2) and field.dtype == np.float32
    assert np.isfinite(field).all()


@pytest.mark.filterwarnings("ignore:overflow encountered")
def test_settings_beyond_reason_give_no_flow_but_do_not_crash():
    assert flow_of(shifted((40, 50), 1.0, 1.0), theta=1e-45).shape == (1, 40, 50, 2)
