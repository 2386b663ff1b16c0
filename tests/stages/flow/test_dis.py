"""DIS: motions that are known, and what happens without OpenCV."""

from __future__ import annotations

import sys

import numpy as np
import pytest

from engine.errors import UserError
from stages.flow.dis import DisFlow
from stages.video.flow_spec import Dis
from tests.stages.flow.moving_scenes import end_point_error, inner, noise, shifted

SPEC = Dis(kind="dis")


def test_without_opencv_it_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "cv2", None)
    with pytest.raises(UserError, match=r"OpenCV cannot be imported .*pip install 'vidspec\[flow\]'"):
        DisFlow(SPEC, threads=1)


@pytest.mark.parametrize("preset", ["ultrafast", "fast", "medium"])
@pytest.mark.parametrize(("u", "v"), [(2.0, 0.0), (0.0, -1.5), (0.5, 0.25)])
def test_u_points_right_and_v_down(preset, u, v):
    pytest.importorskip("cv2")
    field = DisFlow(Dis(kind="dis", preset=preset), threads=1)(shifted((96, 128), u, v))
    assert end_point_error(inner(field, 16), (u, v)) < 0.25


def test_threads_share_the_pairs_and_change_nothing():
    cv2 = pytest.importorskip("cv2")
    cv2.setNumThreads(2)
    frames = np.concatenate([shifted((60, 80), 1.0, 0.0, frames=3), shifted((60, 80), 0.0, 1.0, frames=3, seed=1)])
    alone, shared = (DisFlow(SPEC, threads)(frames) for threads in (1, 3))
    assert alone.shape == (5, 60, 80, 2) and alone.dtype == np.float32
    assert np.array_equal(alone, shared)
    assert np.array_equal(alone[3:4], DisFlow(SPEC, 1)(frames[3:5]))
    assert cv2.getNumThreads() == 2, "OpenCV's own setting is left as it was"


@pytest.mark.parametrize("shape", [(0, 20, 20), (1, 20, 20), (2, 3, 40), (2, 40, 5), (2, 20, 300), (3, 33, 47)])
@pytest.mark.parametrize("preset", ["ultrafast", "fast", "medium"])
def test_any_size_and_number_of_frames(shape, preset):
    pytest.importorskip("cv2")
    field = DisFlow(Dis(kind="dis", preset=preset), threads=1)(noise(*shape))
    assert field.shape == (max(shape[0] - 1, 0), *shape[1:], 2) and np.isfinite(field).all()


def test_constant_frames_do_not_move():
    pytest.importorskip("cv2")
    assert np.array_equal(DisFlow(SPEC, 1)(np.full((2, 40, 50, 3), 99, np.uint8)), np.zeros((1, 40, 50, 2)))
