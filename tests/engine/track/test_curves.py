"""Thinning of curves."""

from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from engine.track.curves import LIMIT, shown_at_end, shown_count, shown_while_running


@given(st.integers(1, 5_000))
def test_count_is_what_a_loop_counts(length):
    assert shown_count(length) == sum(map(shown_while_running, range(length)))


@settings(max_examples=30)
@given(st.integers(1, 20_000))
def test_never_too_many_never_without_ends_and_never_a_hole(length):
    shown = [i for i in range(length) if shown_at_end(i, length)]
    assert len(shown) <= LIMIT and shown[0] == 0 and shown[-1] == length - 1
    if length <= LIMIT:
        assert len(shown) == length
    gap = max((b - a for a, b in pairwise(shown)), default=1)
    assert gap <= max(1, -(-length // 500))
    assert all(shown_at_end(i, length) for i in range(length) if shown_while_running(i))


def test_very_long_curves_stay_short():
    assert shown_count(10_000_000) < 1_300
