"""OpenCV's scheme of TV-L1 against OpenCV, where it is installed, and against motions that are known."""

from __future__ import annotations

import numpy as np
import pytest

from stages.flow.dual_tvl1 import dual_tvl1_flow, level_sizes
from stages.video.flow_spec import DualTvl1
from tests.stages.flow.moving_scenes import end_point_error, inner, shifted


def flow_of(frames: np.ndarray, threads: int = 1, **fields: float) -> np.ndarray:
    return dual_tvl1_flow(frames, DualTvl1(kind="dual_tvl1", **fields), threads)


def opencv(frames: np.ndarray, scales: int = 5, warps: int = 5, inner: int = 30, outer: int = 10, median: int = 5) -> np.ndarray:
    cv2 = pytest.importorskip("cv2")
    if not hasattr(cv2, "optflow"):
        pytest.skip("this OpenCV comes without its contributed modules")
    solver = cv2.optflow.DualTVL1OpticalFlow_create(nscales=scales, warps=warps)
    solver.setInnerIterations(inner)
    solver.setOuterIterations(outer)
    solver.setMedianFiltering(median)
    greys = [cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY) for frame in frames]
    return np.stack([solver.calc(one, two, None) for one, two in zip(greys, greys[1:])])


def test_opencv_is_met_before_the_first_warp_to_rounding():
    frames = shifted((60, 83), 0.8, -0.4)
    frames[:, 20:40, 30:60] //= 2
    ours = flow_of(frames, scales=1, warps=1, outer_iterations=3)
    theirs = opencv(frames, scales=1, warps=1, outer=3)
    assert end_point_error(theirs, 0) > 0.1
    assert np.abs(ours - theirs).max() < 1e-4


def test_opencv_is_met_with_its_defaults():
    """OpenCV before version 5 reads between pixels at 32 places only, which alone makes a difference of some 0.01 pixels."""
    frames = shifted((90, 121), 2.3, -1.1, frames=2)
    ours, theirs = flow_of(frames), opencv(frames)
    assert end_point_error(ours, theirs) < 0.03
    assert end_point_error(inner(theirs), np.array([2.3, -1.1])) < 0.2


@pytest.mark.parametrize("u, v", [(1, 0), (0, 1), (-2.5, 0.5)])
def test_u_points_right_and_v_down(u, v):
    field = inner(flow_of(shifted((64, 80), u, v), inner_iterations=10, outer_iterations=2)[0])
    assert np.median(field[..., 0]) == pytest.approx(u, abs=0.1)
    assert np.median(field[..., 1]) == pytest.approx(v, abs=0.1)


def test_threads_do_not_change_a_bit():
    frames = shifted((40, 50), 1.0, 0.5, frames=4)
    assert np.array_equal(flow_of(frames, outer_iterations=1), flow_of(frames, threads=3, outer_iterations=1))


def test_constant_frames_do_not_move():
    assert not flow_of(np.full((2, 40, 50, 3), 9, np.uint8)).any()


def test_the_pyramid_ends_before_sides_of_16_pixels():
    config = DualTvl1(kind="dual_tvl1")
    assert level_sizes(240, 320, config) == [(240, 320), (192, 256), (154, 205), (123, 164), (98, 131)]
    assert level_sizes(24, 40, config) == [(24, 40), (19, 32)]


def test_one_frame_has_no_flow():
    assert flow_of(shifted((20, 30), 1, 0, frames=1)).shape == (0, 20, 30, 2)
