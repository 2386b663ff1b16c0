"""From measured values to a table: numbers only, nothing about how they look."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Mapping

from engine.report.claims import Verdict, deviation, judge, sampling_error
from engine.spec.table import Table, parse_claim

Key = tuple[str, str]
"""(row, column): (model, protocol.metric)."""


@dataclass(frozen=True)
class Results:
    """What was measured, in fractions.

    values: by row and column, the value of each seed. missing: why there is none. test_videos: size of the test set.
    chance: what guessing gives, by column.
    """

    values: Mapping[Key, Mapping[int, float]] = field(default_factory=dict)
    missing: Mapping[Key, str] = field(default_factory=dict)
    test_videos: Mapping[Key, int] = field(default_factory=dict)
    chance: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Entry:
    """One cell, in the table's unit (points of per cent, as papers print).

    paper, mean, sd (None with one seed), seeds, delta = mean - paper; reason: why there is no value of ours.
    sampling: half width of the 95 % interval from the size of the test set alone.
    """

    paper: float | None = None
    source: str = ""
    note: str = ""
    mean: float | None = None
    sd: float | None = None
    seeds: int = 0
    delta: float | None = None
    sampling: float | None = None
    reason: str = ""


@dataclass(frozen=True)
class Built:
    """A table with all its numbers."""

    name: str
    table: Table
    entries: Mapping[Key, Entry]
    chance: Mapping[str, float]
    test_videos: tuple[int, ...]
    verdicts: tuple[Verdict, ...]

    @property
    def scale(self) -> float:
        """From fractions to the table's unit."""
        return scale(self.table)

    def has_paper(self, column: str) -> bool:
        """Whether the paper has any value in a column."""
        return any(self.entries[row, column].paper is not None for row in self.table.rows)


def scale(table: Table) -> float:
    """Factor from measured fractions to the table's unit."""
    return 100.0 if table.unit == "per_cent" else 1.0


def build(name: str, table: Table, results: Results) -> Built:
    """Join what was measured and what the paper says, and judge the paper's claims."""
    keys = [(row, column) for row in table.rows for column in table.columns]
    verdicts = []
    for claim in map(parse_claim, table.claims):
        left, right = (claim.left, claim.column), (claim.right, claim.column)
        sizes = {results.test_videos[k] for k in (left, right) if k in results.test_videos}
        size = min(sizes) if sizes else None
        verdicts.append(judge(claim, results.values.get(left, {}), results.values.get(right, {}), size))
    return Built(
        name=name,
        table=table,
        entries={key: entry(table, key, results) for key in keys},
        chance={c: results.chance[c] * scale(table) for c in table.columns if c in results.chance},
        test_videos=tuple(sorted({results.test_videos[k] for k in keys if k in results.test_videos})),
        verdicts=tuple(verdicts),
    )


def entry(table: Table, key: Key, results: Results) -> Entry:
    """One cell of a table."""
    row, column = key
    printed = table.paper.get(row, {}).get(column)
    paper = {}
    if printed is not None:
        paper = {"paper": printed.value, "source": printed.source or table.source, "note": printed.note}
    by_seed = results.values.get(key)
    if not by_seed:
        return Entry(**paper, reason=results.missing.get(key, "not run"))
    values = [by_seed[seed] * scale(table) for seed in sorted(by_seed)]
    mean = math.fsum(values) / len(values)
    videos = results.test_videos.get(key)
    sampling = sampling_error(mean / scale(table), videos) * scale(table) if videos else None
    return Entry(
        **paper,
        mean=mean,
        sd=deviation(values) if len(values) > 1 else None,
        seeds=len(values),
        delta=mean - printed.value if printed is not None else None,
        sampling=sampling if sampling is not None and not math.isnan(sampling) else None,
    )
