"""Which stage comes first when several run at once."""

from __future__ import annotations

import pytest

from engine.compile.plan import Source, Stage
from engine.jobs import MOST, closure, default_jobs, in_order
from engine.spec.component import StageConfig


def stage(name: str, *reads: str) -> Stage:
    return Stage(f"s.{name}", "k", StageConfig(), {"in": tuple(Source(f"s.{r}", f"results/s/{r}") for r in reads)}, 0)


CHAIN = [stage("data"), stage("short", "data"), stage("a", "data"), stage("b", "a"), stage("probe", "b"), stage("other", "short")]


def names(stages: list[Stage]) -> list[str]:
    return [s.name.removeprefix("s.") for s in stages]


def test_what_many_wait_for_comes_first_and_the_rest_keeps_its_order():
    assert names(in_order(CHAIN)) == ["data", "a", "short", "b", "probe", "other"]


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
