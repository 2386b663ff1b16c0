"""Which configuration a step has, what it shows of a video, and the learning rates: by hand and by properties."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stages.lofi.rates import rate_factor
from stages.lofi.schedule import fidelity_at, reduced
from stages.lofi.spec import Configurations, Constant, LofiSchedule, Long, Reduction, Short
from stages.snippets.spec import Snippets


def test_a_long_cycle_changes_with_the_epoch():
    seen = [fidelity_at(Long(kind="long"), step, steps_per_epoch=2) for step in range(14)]
    assert seen == ["S", "S", "T", "T", "ST", "ST", "S", "S", "T", "T", "ST", "ST", "S", "S"]
    slow = Long(kind="long", order=("T", "S"), period=2)
    assert [fidelity_at(slow, step, 1) for step in range(9)] == ["T", "T", "S", "S", "T", "T", "S", "S", "T"]


def test_a_short_cycle_changes_with_the_batch_whatever_the_epoch():
    changes = [fidelity_at(Short(kind="short"), step, steps_per_epoch=7) for step in (0, 15, 16, 31, 32, 47, 48)]
    assert changes == ["S", "S", "T", "T", "ST", "ST", "S"]


orders = st.permutations(["S", "T", "ST"]).flatmap(lambda order: st.sampled_from([order[:2], order])).map(tuple)


@given(order=orders, period=st.integers(1, 20), epoch=st.integers(1, 9), step=st.integers(0, 5000))
def test_cycles_are_periodic_and_fair(order, period, epoch, step):
    for cycle, unit in (
        (Long(kind="long", order=order, period=period), epoch),
        (Short(kind="short", order=order, period=period), 1),
    ):
        whole = unit * period * len(order)
        assert fidelity_at(cycle, step, epoch) == fidelity_at(cycle, step + whole, epoch)
        seen = [fidelity_at(cycle, step + n, epoch) for n in range(whole)]
        assert {fidelity: seen.count(fidelity) for fidelity in order} == dict.fromkeys(order, unit * period)


@given(fidelity=st.sampled_from(["full", "S", "T", "ST"]), step=st.integers(0, 10**6), epoch=st.integers(1, 1000))
def test_without_a_cycle_nothing_changes(fidelity, step, epoch):
    assert fidelity_at(Constant(kind="constant", fidelity=fidelity), step, epoch) == fidelity


@pytest.mark.parametrize(
    "fidelity, count, size", [("full", 100, 224), ("S", 100, 112), ("T", 25, 224), ("ST", 50, 158)]
)
def test_the_papers_configurations(fidelity, count, size):
    seen = reduced(Snippets(), Configurations().of(fidelity))
    assert (seen.count, seen.size, seen.frames, seen.stride) == (count, size, 8, 8)
    share = count * size**2 / (100 * 224**2)
    assert share == 1 if fidelity == "full" else share == pytest.approx(0.25, abs=0.002)


def test_reductions_are_rounded_and_leave_something():
    assert reduced(Snippets(count=10, size=30), Reduction(space=4, time=4)).model_dump() | {"frames": 0} == {
        "count": 2, "frames": 0, "stride": 8, "size": 8,
    }  # fmt: skip
    assert reduced(Snippets(count=2), Reduction(time=9)).count == 1


def test_the_rate_is_halved_every_five_epochs():
    factors = [rate_factor(LofiSchedule(), step, steps_per_epoch=3) for step in (0, 14, 15, 29, 30, 44)]
    assert factors == [1, 1, 0.5, 0.5, 0.25, 0.25]


def test_warm_up_and_another_decay_come_on_top():
    warm = LofiSchedule(epochs=4, warmup_epochs=2, every=1)
    assert [rate_factor(warm, step, 2) for step in (0, 1, 2, 3, 4)] == [0.25, 0.5, 0.375, 0.5, 0.25]
    even = LofiSchedule(epochs=2, decay="cosine", factor=1)
    assert rate_factor(even, 1, 1) == pytest.approx(0.5)
