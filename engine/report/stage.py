"""The built-in stage ``report``: the tables of a study in every format, from the metrics files of its evaluations."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from engine.report.html import page
from engine.report.layout import Layout, layout
from engine.report.line_chart import plot_lines
from engine.report.picture import plot
from engine.report.spec import Cell, Config
from engine.report.tables import Built
from engine.report.text import csv_text, json_table, latex, markdown
from engine.report.views import built_tables
from engine.run.context import Context


def run(config: Config, context: Context) -> dict[str, Any]:
    """Write report.md and report.html, and each table as .csv, .tex and .json; returns means and verdicts."""
    paths = context.inputs["metrics"]
    files = dict(zip(config.cells, (paths,) if isinstance(paths, Path) else paths, strict=True))

    def read(cell: Cell) -> str:
        return files[cell].read_text(encoding="utf-8")

    tables = built_tables(config, read)
    layouts = [layout(built) for built in tables]
    _write(context.out / "report.md", report(config, layouts))
    _write(context.out / "report.html", page(config.title, layouts, config.deviations, config.paper))
    for built, laid in zip(tables, layouts, strict=True):
        _write(context.out / f"{laid.name}.csv", csv_text(built))
        _write(context.out / f"{laid.name}.tex", latex(laid))
        _write(context.out / f"{laid.name}.json", json_table(laid))
        context.picture(laid.name, plot_lines(built) if built.table.lines else plot(built))
    for name, path in published(context.out).items():
        context.record.artifact(path, name, parent=True)
    return {
        "tables": {built.name: means(built) for built in tables},
        "claims": {built.name: {str(v.claim): v.status for v in built.verdicts} for built in tables},
    }


def published(out: Path) -> dict[str, Path]:
    """Name below ``out`` -> file of a finished report, as they are shown at the parent run."""
    kinds = (".md", ".html", ".csv", ".tex", ".json", ".png")
    return {str(path.relative_to(out)): path for path in sorted(out.rglob("*")) if path.suffix in kinds}


def report(config: Config, layouts: list[Layout]) -> str:
    """The whole report in Markdown."""
    parts = [f"# {config.title}\n"]
    if paper := config.paper:
        words = [
            paper.authors,
            f"“{paper.title}”",
            paper.venue,
            str(paper.year or ""),
            f"arXiv {paper.arxiv}" if paper.arxiv else "",
        ]
        parts.append(f"Reproduces {', '.join(w for w in words if w)}\n")
    parts += [markdown(laid) for laid in layouts]
    if config.deviations:
        parts.append(
            "## Where the study departs from the paper\n\n" + "".join(f"- {d}\n" for d in config.deviations)
        )
    return "\n".join(parts)


def means(built: Built) -> dict[str, dict[str, float]]:
    """row -> column -> mean, in the table's unit; without the cells that have no value."""
    return {
        row: {c: round(m, 6) for c in built.table.columns if (m := built.entries[row, c].mean) is not None}
        for row in built.table.rows
    }


def _write(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8")
