"""A table as text in cells, the same for every format; the renderers only add their brackets."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Iterator, Literal, Mapping, Sequence

from engine.report.claims import Status, Verdict, deviation
from engine.report.tables import Built, Entry, Results, build
from engine.spec.table import Table

Kind = Literal["paper", "ours", "higher", "lower", "same", "missing", "chance", "empty"]

MISSING = "–"


@dataclass(frozen=True)
class Text:
    """What stands in a cell. ``mark``: letter of a footnote."""

    text: str
    kind: Kind
    mark: str = ""

    def __str__(self) -> str:
        return f"{self.text}{f' ({self.mark})' if self.mark else ''}"


@dataclass(frozen=True)
class ClaimLine:
    """A claim with its verdict and the numbers behind it."""

    claim: str
    status: Status
    holds: bool
    detail: str


@dataclass(frozen=True)
class Layout:
    """groups: (heading, sub-headings) of the columns, from left to right; rows: (label, one text a sub-heading)."""

    name: str
    title: str
    groups: tuple[tuple[str, tuple[str, ...]], ...]
    rows: tuple[tuple[str, tuple[Text, ...]], ...]
    notes: tuple[str, ...] = ()
    claims: tuple[ClaimLine, ...] = ()
    deviations: tuple[str, ...] = ()

    def headings(self) -> list[str]:
        """One heading a column, for formats without groups."""
        return [f"{group}: {sub}" if len(subs) > 1 else group for group, subs in self.groups for sub in subs]

    def merged(self) -> list[list[str]]:
        """Headings, then rows, with one text a group: ``45.5 ± 0.7 (46.8)``; for places with room for few columns."""
        rows = [["model", *(f"{group} (paper)" if "paper" in subs else group for group, subs in self.groups)]]
        for label, texts in self.rows:
            left = iter(texts)
            rows.append([label, *(_merge(dict(zip(subs, left, strict=False))) for _, subs in self.groups)])
        return rows


@dataclass
class _Marks:
    """Hands out the letters of footnotes; the same words share one."""

    words: list[str] = field(default_factory=list)

    def of(self, words: str) -> str:
        if not words:
            return ""
        if words not in self.words:
            self.words.append(words)
        return _letters(self.words.index(words))

    def notes(self) -> Iterator[str]:
        for i, words in enumerate(self.words):
            yield f"({_letters(i)}) {words}"


def layout(built: Built, deviations: Sequence[str] = ()) -> Layout:
    """Paper, ours and difference side by side; columns that the paper lacks have ours alone."""
    table, marks = built.table, _Marks()
    groups = tuple(
        (table.label(c), ("paper", "ours", "Δ") if built.has_paper(c) else ("ours",)) for c in table.columns
    )
    most = max((e.seeds for e in built.entries.values()), default=0)
    rows = []
    for row in table.rows:
        texts: list[Text] = []
        for column in table.columns:
            entry = built.entries[row, column]
            if built.has_paper(column):
                texts.append(_paper(entry, table, marks))
            texts.append(_ours(entry, table.decimals, most, marks))
            if built.has_paper(column):
                texts.append(_difference(entry.delta, table.decimals))
        rows.append((table.label(row), tuple(texts)))
    if built.chance:
        rows.append(("chance", tuple(t for c in table.columns for t in _chance(built, c))))
    return Layout(
        name=built.name,
        title=table.title or built.name,
        groups=groups,
        rows=tuple(rows),
        notes=(*_notes(built, most), *marks.notes()),
        claims=tuple(claim_line(v, table) for v in built.verdicts),
        deviations=tuple(deviations),
    )


def compare(name: str, table: Table, results: Mapping[str, Results]) -> Layout:
    """The same table for several experiments side by side, each with its seed-paired difference to the first."""
    marks, builts = _Marks(), {e: build(name, table, r) for e, r in results.items()}
    names = list(results)
    first, most = names[0], max(e.seeds for b in builts.values() for e in b.entries.values())
    subs = tuple(sub for i, e in enumerate(names) for sub in ((e,) if i == 0 else (e, f"Δ to {first}")))
    rows = []
    for row in table.rows:
        texts = []
        for column in table.columns:
            for i, e in enumerate(names):
                texts.append(_ours(builts[e].entries[row, column], table.decimals, most, marks))
                if i:
                    old, new = (results[x].values.get((row, column), {}) for x in (first, e))
                    texts.append(_change(old, new, builts[e].scale, table.decimals))
        rows.append((table.label(row), tuple(texts)))
    claims = [(e, claim_line(v, table)) for e, b in builts.items() for v in b.verdicts]
    return Layout(
        name=name,
        title=f"{table.title or name}: {' / '.join(names)}",
        groups=tuple((table.label(c), subs) for c in table.columns),
        rows=tuple(rows),
        notes=(_spread(most), "Δ: mean of the differences between equal seeds.", *marks.notes()),
        claims=tuple(ClaimLine(f"{e}: {c.claim}", c.status, c.holds, c.detail) for e, c in claims),
    )


def claim_line(verdict: Verdict, table: Table) -> ClaimLine:
    """A verdict in words."""
    times = 100.0 if table.unit == "per_cent" else 1.0
    unit = " points" if table.unit == "per_cent" else ""
    parts = []
    if verdict.mean is not None:
        parts.append(f"difference {signed(verdict.mean * times, table.decimals)}{unit}")
    if verdict.low is not None and verdict.high is not None:
        low, high = (signed(x * times, table.decimals) for x in (verdict.low, verdict.high))
        parts.append(f"95 % interval [{low}, {high}] over {verdict.seeds} seeds")
    if verdict.reason:
        parts.append(verdict.reason)
    if verdict.sampling is not None:
        parts.append(f"the size of the test set alone: ±{verdict.sampling * times:.{table.decimals}f}{unit}")
    return ClaimLine(str(verdict.claim), verdict.status, verdict.holds, "; ".join(parts))


def number(value: float, decimals: int) -> str:
    """``46.8``, with a true minus sign and no negative zero."""
    text = f"{value:.{decimals}f}"
    return text.removeprefix("-") if float(text) == 0 else text.replace("-", "−")


def signed(value: float, decimals: int) -> str:
    """``+1.2``, ``−0.4``, ``0.0``."""
    text = number(value, decimals)
    return f"+{text}" if value > 0 and float(text) != 0 else text


def _ours(entry: Entry, decimals: int, most: int, marks: _Marks) -> Text:
    if entry.mean is None:
        return Text(MISSING, "missing", marks.of(entry.reason))
    spread = f" ± {number(entry.sd, decimals)}" if entry.sd is not None else ""
    fewer = (
        f"{entry.seeds} seed{'s' if entry.seeds > 1 else ''} instead of {most}" if entry.seeds < most else ""
    )
    return Text(number(entry.mean, decimals) + spread, "ours", marks.of(fewer))


def _paper(entry: Entry, table: Table, marks: _Marks) -> Text:
    if entry.paper is None:
        return Text("", "empty")
    elsewhere = entry.source if entry.source != table.source else ""
    return Text(
        number(entry.paper, table.decimals),
        "paper",
        marks.of("; ".join(w for w in (elsewhere, entry.note) if w)),
    )


def _difference(value: float | None, decimals: int) -> Text:
    if value is None:
        return Text("", "empty")
    text = signed(value, decimals)
    return Text(text, "higher" if text[0] == "+" else "lower" if text[0] == "−" else "same")


def _change(old: Mapping[int, float], new: Mapping[int, float], times: float, decimals: int) -> Text:
    differences = [(new[s] - old[s]) * times for s in sorted(old.keys() & new.keys())]
    if not differences:
        return Text("", "empty")
    text = _difference(math.fsum(differences) / len(differences), decimals)
    spread = f" ± {number(deviation(differences), decimals)}" if len(differences) > 1 else ""
    return Text(text.text + spread, text.kind)


def _chance(built: Built, column: str) -> list[Text]:
    value = built.chance.get(column)
    text = Text("", "empty") if value is None else Text(number(value, built.table.decimals), "chance")
    nothing = Text("", "empty")
    return [nothing, text, nothing] if built.has_paper(column) else [text]


def _notes(built: Built, most: int) -> Iterator[str]:
    table = built.table
    unit = "Values in per cent. " if table.unit == "per_cent" else ""
    has_paper = any(built.has_paper(c) for c in table.columns)
    yield f"{unit}Ours: {_spread(most)}{' Δ = ours − paper.' if has_paper else ''}"
    if table.source and has_paper:
        yield f"Paper: {table.source}."
    errors = [e.sampling for e in built.entries.values() if e.sampling is not None]
    if errors and built.test_videos:
        sizes = " to ".join(str(n) for n in dict.fromkeys((built.test_videos[0], built.test_videos[-1])))
        points = " points" if table.unit == "per_cent" else ""
        most_off = f"±{max(errors):.{table.decimals}f}{points}"
        yield f"Test set of {sizes} videos: its size alone makes any one value uncertain by up to {most_off} (95 %)."


def _spread(most: int) -> str:
    return f"mean ± standard deviation over {most} seeds." if most > 1 else "one seed, so no spread is known."


def _merge(texts: Mapping[str, Text]) -> str:
    main = next((t for t in texts.values() if t.kind in ("ours", "missing", "chance")), None)
    paper = next((f"({t.text})" for t in texts.values() if t.kind == "paper"), "")
    return " ".join(word for word in (main.text if main else "", paper) if word)


def _letters(index: int) -> str:
    """a, b, ..., z, aa, ab, ..."""
    text = ""
    while index >= 0:
        text = chr(ord("a") + index % 26) + text
        index = index // 26 - 1
    return text
