"""Tables of a study on a terminal or as text: of the workspace, or of DVC experiments side by side."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Iterable, Mapping, Sequence

from engine.compile.plan import Plan
from engine.errors import UserError
from engine.report.collect import Revision, Workspace, collect
from engine.report.html import page
from engine.report.layout import Layout, compare, layout
from engine.report.spec import Cell, Config
from engine.report.tables import Built, build
from engine.report.terminal import show
from engine.report.text import csv_text, json_table, latex, markdown
from engine.run.home import state
from engine.spec.study import BaseStudy
from engine.track.record import read_events

FORMATS = ("terminal", "md", "csv", "tex", "html", "json")


def show_tables(root: Path, study: BaseStudy, revisions: Sequence[str], format: str) -> None:
    """Print all tables of a study. Raises UserError for an unknown format, or csv of several experiments."""
    if format not in FORMATS:
        raise UserError(f"no format {format!r}; there are: {', '.join(FORMATS)}")
    report = Plan(study).stages.get(f"{study.name}.report")
    if report is None:
        if format == "terminal":
            print(f"spec {study.name!r} declares no tables")
        return
    config = report.config
    assert isinstance(config, Config)
    if len(revisions) > 1:
        _print(study, [_compare(root, config, name, revisions) for name in config.tables], [], format)
        return
    source = Revision(root, revisions[0]) if revisions else Workspace(root)
    failed = failed_stages(config.cells)
    built = [build(n, t, collect(t, config.cells, source.read, failed)) for n, t in config.tables.items()]
    _print(study, [layout(b, config.deviations) for b in built], built, format)


def failed_stages(cells: Iterable[Cell]) -> set[str]:
    """Stages whose latest execution ended with an error."""
    wanted = {cell.stage for cell in cells}
    failed, seen = set(), set()
    for path in sorted(state("runs").glob("*/run.json"), reverse=True):
        stage = json.loads(path.read_text(encoding="utf-8"))["stage"]
        if stage in wanted and stage not in seen:
            seen.add(stage)
            events = read_events(path.parent)[0]
            if events and events[-1].get("status") == "failed":
                failed.add(stage)
    return failed


def _compare(root: Path, config: Config, name: str, revisions: Sequence[str]) -> Layout:
    table = config.tables[name]
    results: Mapping = {r: collect(table, config.cells, Revision(root, r).read) for r in revisions}
    return compare(name, table, results)


def _print(study: BaseStudy, layouts: Sequence[Layout], built: Sequence[Built], format: str) -> None:
    if format == "terminal":
        show(layouts)
    elif format == "md":
        print("\n".join(map(markdown, layouts)))
    elif format == "tex":
        print("\n".join(map(latex, layouts)))
    elif format == "json":
        print("\n".join(map(json_table, layouts)))
    elif format == "html":
        print(page(study.title or study.name, layouts, study.deviations, study.paper))
    elif built:
        print("\n".join(map(csv_text, built)), end="")
    else:
        raise UserError("csv shows one experiment at a time; use md, tex, html or json to compare several")
