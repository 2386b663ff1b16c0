"""Which stage comes first when several run at once."""

from __future__ import annotations

import pytest

from engine.compile.plan import Source, Stage
from engine.jobs import BATCH, MOST, batches, closure, default_jobs, waiting_for
from engine.spec.component import StageConfig


def stage(name: str, *reads: str) -> Stage:
    return Stage(f"s.{name}", "k", StageConfig(), {"in": tuple(Source(f"s.{r}", f"results/s/{r}") for r in reads)}, 0)


CHAIN = [stage("data"), stage("short", "data"), stage("a", "data"), stage("b", "a"), stage("probe", "b"), stage("other", "short")]


def names(stages: list[Stage]) -> list[str]:
    return [s.name.removeprefix("s.") for s in stages]


def test_how_many_wait_for_each():
    assert waiting_for(CHAIN) == {"s.data": 5, "s.short": 1, "s.a": 2, "s.b": 1, "s.probe": 0, "s.other": 0}


def test_what_many_wait_for_comes_first_and_small_ones_go_together():
    ready = [stage(name) for name in ("x", "y", "long", "z", "longer")]
    readers = {"s.x": 1, "s.y": 1, "s.long": 5, "s.z": 0, "s.longer": 9}
    assert batches(ready, readers, free=2, count=2) == [["s.longer"], ["s.long"]]
    assert batches(ready, readers, free=3, count=3) == [["s.longer"], ["s.long"], ["s.x"]]
    assert batches(ready[:2] + ready[3:4], readers, free=2, count=2) == [["s.x", "s.y"], ["s.z"]]
    assert batches(ready, readers, free=0, count=2) == []
    many = [stage(f"n{i}") for i in range(20)]
    found = batches(many, {s.name: 1 for s in many}, free=2, count=2)
    assert [len(names) for names in found] == [BATCH, BATCH]


def test_a_target_needs_all_that_it_reads():
    assert names(closure(CHAIN, ["s.b"])) == ["data", "a", "b"]
    assert closure(CHAIN, []) == CHAIN


@pytest.mark.parametrize("cores", [1, 3, 64])
def test_stages_share_the_cores(monkeypatch, cores):
    monkeypatch.setattr("os.sched_getaffinity", lambda _: set(range(cores)))
    monkeypatch.setattr("engine.jobs.Path.exists", lambda _: False)
    assert default_jobs() == min(cores, MOST)
    monkeypatch.setattr("engine.jobs.Path.exists", lambda _: True)  # a GPU
    assert default_jobs() == 1
