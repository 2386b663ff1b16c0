"""Verdicts, against intervals worked by hand."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.report.claims import judge, sampling_error
from engine.spec.table import Claim, parse_claim

GREATER = parse_claim("a > b on p.m")
AT_LEAST = parse_claim("a >= b on p.m")


def test_interval_by_hand():
    # Differences .10 .12 .14: mean .12, sd .02, t(2) = 4.3027, half width 4.3027 * .02 / sqrt(3) = .049683.
    v = judge(GREATER, {0: 0.60, 1: 0.64, 2: 0.58}, {0: 0.50, 1: 0.52, 2: 0.44})
    assert v.status == "reproduced" and v.seeds == 3
    assert (v.mean, v.low, v.high) == pytest.approx((0.12, 0.070317, 0.169683), abs=1e-6)


def test_pairs_by_seed_not_by_order():
    # Seed by seed a is .02 better; the models' own spread (.2) would drown it.
    a, b = {2: 0.72, 0: 0.32, 1: 0.525}, {0: 0.30, 1: 0.50, 2: 0.70}
    assert judge(GREATER, a, b).status == "reproduced"


def test_undecided_when_the_interval_has_zero_in_it():
    # Differences .10 .02 .00: mean .04, sd .0529, half width .1315.
    v = judge(GREATER, {0: 0.6, 1: 0.52, 2: 0.5}, {0: 0.5, 1: 0.5, 2: 0.5})
    assert v.status == "undecided" and not v.holds
    lenient = parse_claim("a > b on p.m (or undecided)")
    assert judge(lenient, {0: 0.6, 1: 0.52, 2: 0.5}, {0: 0.5, 1: 0.5, 2: 0.5}).holds


def test_one_seed_is_never_enough():
    v = judge(GREATER, {0: 0.99}, {0: 0.01, 1: 0.02})
    assert (v.status, v.seeds, v.low) == ("undecided", 1, None) and v.mean == pytest.approx(0.98)


def test_no_common_seed():
    v = judge(GREATER, {0: 0.9}, {1: 0.1})
    assert (v.status, v.seeds, v.mean) == ("undecided", 0, None)


def test_equal_in_every_seed_separates_the_operators():
    same = {0: 0.5, 1: 0.6}
    assert judge(GREATER, same, same).status == "not reproduced"
    assert judge(AT_LEAST, same, same).status == "reproduced"


def test_sampling_error_by_hand():
    assert sampling_error(0.5, 400) == pytest.approx(0.049)  # 1.96 * sqrt(.25 / 400)
    assert math.isnan(sampling_error(3.0, 400))  # a rank is no share
    v = judge(GREATER, {0: 0.5, 1: 0.5}, {0: 0.5, 1: 0.5}, test_videos=400)
    assert v.sampling == pytest.approx(0.049 * math.sqrt(2))


values = st.dictionaries(st.integers(0, 7), st.integers(0, 40).map(lambda n: n / 40), min_size=1)


@given(values, values, st.randoms())
def test_order_of_seeds_changes_nothing(a, b, random):
    items = list(a.items())
    random.shuffle(items)
    assert judge(GREATER, dict(items), b, 100) == judge(GREATER, a, b, 100)


@given(values, values)
def test_turning_a_claim_round_turns_the_verdict_round(a, b):
    turned = {"reproduced": "not reproduced", "not reproduced": "reproduced", "undecided": "undecided"}
    if len(a.keys() & b.keys()) < 2:
        turned = dict.fromkeys(turned, "undecided")
    forth, back = judge(GREATER, a, b), judge(Claim("b", ">=", "a", "p.m"), b, a)
    assert back.status == turned[forth.status]
    if forth.mean is not None:
        assert back.mean == pytest.approx(-forth.mean)
