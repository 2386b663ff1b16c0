"""Flow in bytes: nothing overflows at the bound, nothing is lost in a mirror."""

from __future__ import annotations

import numpy as np
from hypothesis import given, strategies as st

from stages.video.flow_bytes import ZERO, to_bytes, to_pixels

BOUND = 20.0


def test_by_hand():
    flow = np.array([0, 20, -20, 10, 0.07, -0.09], np.float32)
    assert to_bytes(flow, BOUND).tolist() == [128, 255, 1, 192, 128, 127]  # 63.5 steps round to the even 64
    assert to_pixels(np.array([128, 255, 1], np.uint8), BOUND).tolist() == [0, 20, -20]


def test_beyond_the_bound_is_the_bound():
    assert to_bytes(np.array([20.1, 1e9, np.inf, -20.1, -np.inf]), BOUND).tolist() == [255, 255, 255, 1, 1]


@given(st.floats(-20, 20, width=32), st.sampled_from([5.0, 20.0, 33.3]))
def test_a_round_trip_is_off_by_half_a_step_at_most(value, bound):
    back = to_pixels(to_bytes(np.float32(value), bound), bound)
    assert abs(back - np.clip(value, -bound, bound)) <= bound / 127 / 2 + 1e-5


@given(st.floats(-30, 30, width=32))
def test_a_negated_vector_is_the_negated_byte(value):
    one, other = int(to_bytes(np.float32(value), BOUND)), int(to_bytes(np.float32(-value), BOUND))
    assert one + other == 2 * ZERO and 1 <= one <= 255
