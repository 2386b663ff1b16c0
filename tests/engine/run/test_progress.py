"""Progress where there is no terminal: plain lines, with items of different sizes."""

from __future__ import annotations

import pytest

from engine.run import progress
from engine.run.progress import Progress


@pytest.fixture
def clock(monkeypatch):
    """Time that passes only when told to."""
    now = [0.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    return now


def lines_of(clock, capsys, seconds, items, **arguments) -> list[str]:
    for _ in Progress(every=10.0).track(items, "work", **arguments):
        clock[0] += seconds
    return capsys.readouterr().err.splitlines()


def test_a_line_every_few_seconds_with_rate_and_time_left(clock, capsys):
    assert lines_of(clock, capsys, 4.0, range(5)) == ["work: 3/5 (0.25/s, 8 s left)"]


def test_what_was_done_before_counts_for_the_total_but_not_for_the_rate(clock, capsys):
    assert lines_of(clock, capsys, 10.0, range(8, 10), total=10, done=8) == [
        "work: 9/10 (0.1/s, 10 s left)",
        "work: 10/10 (0.1/s, 0 s left)",
    ]


def test_items_of_different_sizes(clock, capsys):
    found = lines_of(clock, capsys, 10.0, ["aaaa", "bb"], total=6, weigh=len)
    assert found == ["work: 4/6 (0.4/s, 5 s left)", "work: 6/6 (0.3/s, 0 s left)"]
