"""Motions: numbers worked by hand, mirror images, and that no single pose gives a class away."""

from __future__ import annotations

from dataclasses import fields
from typing import get_args

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stages.synthetic.motions import MOTIONS, Manner, Pose, still
from stages.synthetic.spec import MotionName

NAMES = sorted(MOTIONS)
T = np.linspace(0, 1, 33)

manners = st.builds(
    Manner,
    cycles=st.floats(1, 4),
    amplitude=st.floats(0.05, 0.2),
    phase=st.floats(0, 1, exclude_max=True),
    direction=st.sampled_from((-1, 1)),
    drop=st.sampled_from((-1, 1)),
    zoom=st.floats(0.1, 0.6),
)


def manner(**changes) -> Manner:
    return Manner(**{"cycles": 1.0, "amplitude": 0.1, "phase": 0.0, "direction": 1, "drop": 1, "zoom": 0.4, **changes})


def pose_at(name: str, *t: float, **changes) -> Pose:
    return MOTIONS[name](np.array(t), manner(**changes))


def test_spec_names_exactly_the_motions_there_are():
    assert sorted(get_args(MotionName)) == NAMES


def test_bob_and_sway():
    assert pose_at("bob", 0, 0.25, 0.75).y == pytest.approx([0, 0.1, -0.1])
    assert pose_at("sway", 0, 0.25, 0.75, direction=-1).x == pytest.approx([0, -0.1, 0.1], abs=1e-12)


def test_circle_goes_round():
    pose = pose_at("circle", 0, 0.25, 0.5)
    assert pose.x == pytest.approx([0.1, 0, -0.1], abs=1e-12)
    assert pose.y == pytest.approx([0, 0.1, 0], abs=1e-12)


def test_eight_crosses_its_middle_twice_a_cycle():
    pose = pose_at("eight", 0, 0.125, 0.25, 0.5)
    assert pose.x == pytest.approx([0, 0.12 * 0.5**0.5, 0.12, 0], abs=1e-12)
    assert pose.y == pytest.approx([0, 0.08, 0, 0], abs=1e-12)


def test_spin_turns_half_round_per_cycle():
    assert pose_at("spin", 0, 1, cycles=2, direction=-1).angle == pytest.approx([0, -2 * np.pi])


def test_pulse_swings_about_its_mean_size():
    assert np.log(pose_at("pulse", 0, 0.25, 0.75).scale) == pytest.approx([0, 0.4, -0.4], abs=1e-12)


def test_bounce_is_a_parabola_that_lands_every_cycle():
    pose = pose_at("bounce", 0, 0.25, 0.5, 0.75, 1)
    assert pose.y == pytest.approx([0, -0.15, -0.2, -0.15, 0])
    assert pose.x == pytest.approx([0, 0.075, 0.15, 0.225, 0.3])


def test_zigzag_is_made_of_straight_lines():
    pose = pose_at("zigzag", 0, 0.25, 0.5, 0.75, 1, drop=-1)
    assert pose.x == pytest.approx([0.1, 0, -0.1, 0, 0.1])
    assert pose.y == pytest.approx([0, -0.075, -0.15, -0.225, -0.3])


def test_stop_and_go_rests_in_the_second_half_of_a_cycle():
    assert pose_at("stop_and_go", 0, 0.25, 0.5, 0.9, 1.25).x == pytest.approx([0, 0.15, 0.3, 0.3, 0.45])


def test_spiral_swells_in_one_turn_and_shrinks_in_the_next():
    pose = pose_at("spiral", 0, 0.5, 1, 2)
    assert np.hypot(pose.x, pose.y) == pytest.approx([0, 0.2 * 0.5**0.5, 0.2, 0], abs=1e-12)


@pytest.mark.parametrize("name", NAMES)
@given(manner=manners)
def test_mirror_image_is_the_same_class_in_the_other_direction(name, manner):
    mirrored, other = MOTIONS[name](T, manner).mirrored, MOTIONS[name](T, manner.mirrored)
    for field in fields(Pose):
        np.testing.assert_array_equal(getattr(mirrored, field.name), getattr(other, field.name))


@pytest.mark.parametrize("name", NAMES)
@given(manner=manners)
def test_motions_move_one_thing_and_stay_in_range(name, manner):
    pose, rest = MOTIONS[name](T, manner), still(T, manner)
    moved = {f.name for f in fields(Pose) if np.ptp(getattr(pose, f.name)) > 0}
    assert moved and moved <= {"pulse": {"scale"}, "spin": {"angle"}}.get(name, {"x", "y"})
    if name != "pulse":
        np.testing.assert_array_equal(pose.scale, rest.scale)
    assert np.abs(np.log(pose.scale)).max() <= manner.zoom + 1e-9
    way = np.hypot(np.diff(pose.x), np.diff(pose.y)).sum()
    assert way <= 15 * manner.amplitude * (manner.cycles + 1)


@given(cycles=st.floats(1, 4), t=st.floats(0, 1), zoom=st.floats(0.1, 0.6))
def test_scale_has_one_distribution_in_all_classes_at_all_times(cycles, t, zoom):
    """Over phases spread evenly: the quantiles of pulse's scale at time t are those of a sprite that keeps its scale."""
    phases = (np.arange(4000) + 0.5) / 4000
    pulsing, keeping = (
        motion(np.full(4000, t), manner(cycles=cycles, zoom=zoom, phase=phases)).scale for motion in (MOTIONS["pulse"], still)
    )
    np.testing.assert_allclose(np.sort(pulsing), np.sort(keeping), atol=4e-3 * zoom)
