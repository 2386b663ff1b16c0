"""All tables of a study as one page that needs nothing else: no script, no font, no picture from elsewhere."""

from __future__ import annotations

import html
from typing import Sequence

from engine.report.layout import ClaimLine, Layout, Text
from engine.report.text import BADGE
from engine.spec.study import Paper

STYLE = """
:root { color-scheme: light dark; --back: #fff; --ink: #1b1f24; --dim: #5f6b7a; --line: #d9dee5; --soft: #f5f7fa;
  --good: #10713c; --good-back: #e0f5e9; --bad: #a32020; --bad-back: #fce8e6; --open: #7a5200; --open-back: #fdf1d3; }
@media (prefers-color-scheme: dark) { :root { --back: #14171c; --ink: #e6e9ee; --dim: #9aa5b4; --line: #323944;
  --soft: #1c2129; --good: #6fd79b; --good-back: #143524; --bad: #ff9a93; --bad-back: #401b1a; --open: #f0c667;
  --open-back: #3a2e10; } }
body { background: var(--back); color: var(--ink); font: 15px/1.5 system-ui, "Segoe UI", Roboto, sans-serif;
  margin: 0 auto; max-width: 72rem; padding: 1.5rem; }
h1 { font-size: 1.5rem; margin: 0 0 .2rem; } h2 { font-size: 1.15rem; margin: 2rem 0 .6rem; }
h3 { font-size: .85rem; margin: 1.2rem 0 .3rem; color: var(--dim); text-transform: uppercase; letter-spacing: .04em; }
.dim, .notes { color: var(--dim); font-size: .88rem; } .notes p { margin: .15rem 0; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
th, td { padding: .38rem .7rem; text-align: right; white-space: nowrap; }
th:first-child, td:first-child { text-align: left; }
thead th { font-weight: 600; } thead tr:last-child th { border-bottom: 2px solid var(--line); }
thead .group { text-align: center; border-bottom: 1px solid var(--line); } thead .sub { color: var(--dim); font-weight: 500; }
tbody tr:nth-child(even) { background: var(--soft); } tbody td { border-bottom: 1px solid var(--line); }
.first { padding-left: 1.6rem; }
td.ours { font-weight: 650; } td.paper, td.same { color: var(--dim); } td.chance { color: var(--dim); font-style: italic; }
td.higher { color: var(--good); } td.lower { color: var(--open); } td.missing { color: var(--bad); }
sup { color: var(--dim); font-weight: 400; padding-left: .15em; }
ul { margin: .2rem 0; padding-left: 1.2rem; } ul.claims { list-style: none; padding: 0; } .claims li { margin: .4rem 0; }
.claims .dim { padding-left: .7em; } .notes { margin-top: .8rem; }
.badge { border-radius: 1em; display: inline-block; font-size: .82rem; font-weight: 600; margin-right: .5em;
  padding: .05em .7em; }
.reproduced { background: var(--good-back); color: var(--good); } .not { background: var(--bad-back); color: var(--bad); }
@media (max-width: 46rem) { body { font-size: 13.5px; padding: .8rem; } th, td { padding: .3rem .4rem; }
  .first { padding-left: .8rem; } }
.undecided { background: var(--open-back); color: var(--open); }
"""


def page(
    title: str, layouts: Sequence[Layout], deviations: Sequence[str] = (), paper: Paper | None = None
) -> str:
    """The whole page."""
    parts = [f"<h1>{_e(title)}</h1>", *([f'<p class="dim">{_paper(paper)}</p>'] if paper else [])]
    parts += [_table(layout) for layout in layouts]
    if deviations:
        parts.append("<h3>Where the study departs from the paper</h3>")
        parts.append(f"<ul>{''.join(f'<li>{_e(d)}</li>' for d in deviations)}</ul>")
    head = (
        f'<meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>{_e(title)}</title>'
    )
    body = "\n".join(parts)
    return f'<!doctype html>\n<html lang="en">\n<head>{head}\n<style>{STYLE}</style></head>\n<body>\n{body}\n</body>\n</html>\n'


def _paper(paper: Paper) -> str:
    words = [
        paper.authors,
        f"“{paper.title}”",
        " ".join(w for w in (paper.venue, str(paper.year or "")) if w),
    ]
    link = (
        f'<a href="https://arxiv.org/abs/{_e(paper.arxiv)}">arXiv {_e(paper.arxiv)}</a>'
        if paper.arxiv
        else ""
    )
    return "Reproduces " + ", ".join([*(_e(w) for w in words if w), *([link] if link else [])])


def _table(layout: Layout) -> str:
    groups = "".join(
        f'<th class="group first" colspan="{len(s)}">{_e(g)}</th>'
        if len(s) > 1
        else f'<th class="first">{_e(g)}</th>'
        for g, s in layout.groups
    )
    subs = "".join(
        f'<th class="sub{_first(i)}">{_e(sub)}</th>' for _, s in layout.groups for i, sub in enumerate(s)
    )
    starts = [i == 0 for _, s in layout.groups for i in range(len(s))]
    rows = "\n".join(
        f"<tr><td>{_e(label)}</td>{''.join(_cell(t, start) for t, start in zip(texts, starts, strict=True))}</tr>"
        for label, texts in layout.rows
    )
    head = f"<thead><tr><th></th>{groups}</tr><tr><th>model</th>{subs}</tr></thead>"
    parts = [
        f"<h2>{_e(layout.title)}</h2>",
        f'<div class="wide"><table>{head}\n<tbody>\n{rows}\n</tbody></table></div>',
    ]
    if layout.claims:
        lines = "\n".join(f"<li>{_claim(c)}</li>" for c in layout.claims)
        parts.append(f'<h3>Claims of the paper</h3>\n<ul class="claims">\n{lines}\n</ul>')
    parts.append(f'<div class="notes">{"".join(f"<p>{_e(note)}</p>" for note in layout.notes)}</div>')
    return "\n".join(parts)


def _claim(claim: ClaimLine) -> str:
    badge = f'<span class="badge {claim.status}">{BADGE[claim.status]} {claim.status}</span>'
    return f'{badge}{_e(claim.claim)}<div class="dim">{_e(claim.detail)}</div>'


def _cell(text: Text, start: bool) -> str:
    mark = f"<sup>{_e(text.mark)}</sup>" if text.mark else ""
    return f'<td class="{text.kind}{" first" if start else ""}">{_e(text.text)}{mark}</td>'


def _first(index: int) -> str:
    return " first" if index == 0 else ""


def _e(text: str) -> str:
    return html.escape(text)
