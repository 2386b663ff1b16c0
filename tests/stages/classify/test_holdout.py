"""The held-out part: whole groups, all classes alike, nothing lost."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stages.classify.holdout import hold_out


def draw(targets, groups=None, share: float = 0.2, seed: int = 0) -> np.ndarray:
    targets = np.asarray(targets)
    groups = np.full(len(targets), -1) if groups is None else np.asarray(groups)
    return hold_out(targets, groups, share, np.random.default_rng(seed))


def test_without_groups_every_class_gives_its_share() -> None:
    targets = np.repeat([0, 1, 2], [10, 20, 5])
    held = draw(targets)
    assert np.bincount(targets[held]).tolist() == [2, 4, 1]


def test_the_draw_follows_the_generator_and_differs_between_draws() -> None:
    targets = np.repeat([0, 1], 50)
    assert (draw(targets, seed=1) == draw(targets, seed=1)).all()
    assert (draw(targets, seed=1) != draw(targets, seed=2)).any()


def test_people_who_show_all_classes_are_held_out_as_a_whole() -> None:
    # ten people, each showing four classes twice: two people are a fifth
    targets = np.tile(np.repeat(np.arange(4), 2), 10)
    people = np.repeat(np.arange(10), 8)
    held = draw(targets, people)
    assert held.sum() == 16
    assert len(np.unique(people[held])) == 2


def test_one_of_two_large_groups_is_held_out_rather_than_nothing() -> None:
    held = draw([0, 0, 0, 1, 1, 1] * 2, [0] * 6 + [1] * 6)
    assert held.sum() == 6


def test_the_only_source_of_a_class_stays() -> None:
    held = draw([0] * 10 + [1] * 10, [5] * 10 + list(range(10, 20)), share=0.3)
    assert not held[:10].any()
    assert held[10:].sum() == 3


@pytest.mark.parametrize("targets", [[], [0], [0, 1, 2]])
def test_nothing_to_spare(targets: list[int]) -> None:
    assert draw(np.array(targets, int)).sum() == 0


def test_videos_of_unknown_source_are_not_one_group() -> None:
    assert draw([0] * 10, [-1] * 10).sum() == 2


@given(
    st.lists(st.tuples(st.integers(0, 4), st.integers(-1, 8)), max_size=80),
    st.floats(0.05, 0.6),
    st.integers(0, 100),
)
def test_groups_stay_together_and_no_class_is_lost(
    videos: list[tuple[int, int]], share: float, seed: int
) -> None:
    targets = np.array([t for t, _ in videos], int)
    groups = np.array([g for _, g in videos], int)
    held = draw(targets, groups, share, seed)
    assert held.shape == targets.shape and held.dtype == bool
    for group in set(groups[groups >= 0].tolist()):
        assert len(set(held[groups == group].tolist())) == 1
    assert set(targets[~held].tolist()) == set(targets.tolist())


@given(st.lists(st.integers(0, 5), min_size=1, max_size=200), st.floats(0.05, 0.6), st.integers(0, 100))
def test_single_videos_are_stratified_to_the_nearest_number(
    targets: list[int], share: float, seed: int
) -> None:
    held = draw(targets, None, share, seed)
    sizes = np.bincount(targets)
    taken = np.bincount(np.array(targets)[held], minlength=len(sizes))
    wanted = share * sizes
    if (wanted > 0.5).any():  # else the one video that strays least is taken
        spare = np.maximum(sizes - 1, 0)
        assert (np.abs(taken - np.minimum(wanted, spare)) <= 0.5 + 1e-9).all()
