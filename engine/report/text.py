"""Tables as Markdown, CSV, LaTeX and JSON."""

from __future__ import annotations

import csv
import io
import json
import re
from typing import Sequence

from engine.report.layout import Layout
from engine.report.tables import Built

BADGE = {"reproduced": "✓", "not reproduced": "✗", "undecided": "~"}


def markdown(layout: Layout, level: int = 2) -> str:
    """One table with its claims, notes and deviations under it."""
    lines = [f"{'#' * level} {_md(layout.title)}", ""]
    lines.append(_md_row(["model", *layout.headings()]))
    lines.append(f"|{'|'.join([':---', *['---:'] * len(layout.headings())])}|")
    lines += [_md_row([label, *map(str, texts)]) for label, texts in layout.rows]
    if layout.claims:
        lines += ["", "**Claims of the paper**", ""]
        for c in layout.claims:
            lines.append(f"- {BADGE[c.status]} **{c.status}**: {_md(c.claim)} ({_md(c.detail)})")
    if layout.notes:
        lines += ["", *(f"- {_md(note)}" for note in layout.notes)]
    if layout.deviations:
        lines += [
            "",
            "**Where the study departs from the paper**",
            "",
            *(f"- {_md(d)}" for d in layout.deviations),
        ]
    return "\n".join(lines) + "\n"


def _md_row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(_md(c) for c in cells)} |"


def _md(text: str) -> str:
    text = " ".join(text.split())
    return re.sub(r"([\\`*_\[\]<>|])", r"\\\1", text)


def csv_text(built: Built) -> str:
    """One line a cell, with all numbers, in the table's unit; empty where there is none."""
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(
        [
            "row",
            "column",
            "paper",
            "mean",
            "sd",
            "seeds",
            "delta",
            "sampling_95",
            "chance",
            "missing",
            "source",
            "note",
        ]
    )
    for (row, column), e in built.entries.items():
        numbers = [e.paper, e.mean, e.sd, e.seeds, e.delta, e.sampling, built.chance.get(column)]
        writer.writerow([row, column, *map(_csv_number, numbers), e.reason, e.source, e.note])
    return buffer.getvalue()


def _csv_number(value: float | None) -> str:
    return "" if value is None else repr(round(value, 6))


def json_table(layout: Layout) -> str:
    """The form of MLflow's ``log_table``, which its UI opens as a table."""
    columns, *data = layout.merged()  # of many columns the UI hides all but the first four
    return json.dumps({"columns": columns, "data": data}, ensure_ascii=False) + "\n"


def latex(layout: Layout) -> str:
    """A ``table`` environment for the booktabs package."""
    columns = ["l", *("r" * len(subs) for _, subs in layout.groups)]
    lines = [
        "% needs \\usepackage{booktabs}",
        "\\begin{table}",
        "\\centering",
        f"\\caption{{{_tex(layout.title)}}}",
        f"\\label{{tab:{re.sub('[^A-Za-z0-9-]', '-', layout.name)}}}",
        f"\\begin{{tabular}}{{{''.join(columns)}}}",
        "\\toprule",
    ]
    lines += (
        [_tex_groups(layout), _tex_rules(layout)] if any(len(subs) > 1 for _, subs in layout.groups) else []
    )
    heads = [sub if len(subs) > 1 else group for group, subs in layout.groups for sub in subs]
    lines += [f"model & {' & '.join(map(_tex, heads))} \\\\", "\\midrule"]
    for label, texts in layout.rows:
        cells = [f"{_tex(t.text)}{f'$^{{{t.mark}}}$' if t.mark else ''}" for t in texts]
        lines.append(f"{_tex(label)} & {' & '.join(cells)} \\\\")
    lines += ["\\bottomrule", "\\end{tabular}"]
    claims = [f"{c.claim}: {c.status} ({c.detail})." for c in layout.claims]
    under = [*layout.notes, *claims, *(f"Deviation: {d}" for d in layout.deviations)]
    lines += [f"\\par\\smallskip\\footnotesize {_tex(line)}" for line in under]
    return "\n".join([*lines, "\\end{table}"]) + "\n"


def _tex_groups(layout: Layout) -> str:
    cells = [f"\\multicolumn{{{len(s)}}}{{c}}{{{_tex(g) if len(s) > 1 else ''}}}" for g, s in layout.groups]
    return f" & {' & '.join(cells)} \\\\"


def _tex_rules(layout: Layout) -> str:
    rules, start = [], 2
    for _, subs in layout.groups:
        if len(subs) > 1:
            rules.append(f"\\cmidrule(lr){{{start}-{start + len(subs) - 1}}}")
        start += len(subs)
    return " ".join(rules)


_TEX = {
    "\\": r"\textbackslash{}", "{": r"\{", "}": r"\}", "$": r"\$", "&": r"\&", "#": r"\#", "%": r"\%", "_": r"\_",
    "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "<": "$<$", ">": "$>$", "|": r"\textbar{}",
    "−": "$-$", "–": "--", "±": r"$\pm$", "Δ": r"$\Delta$", "≥": r"$\geq$", "×": r"$\times$",
}  # fmt: skip


def _tex(text: str) -> str:
    return "".join(_TEX.get(letter, letter) for letter in text)
