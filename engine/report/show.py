"""Tables of a study on a terminal or as text: of the workspace, or of DVC experiments side by side."""

from __future__ import annotations

from pathlib import Path
from typing import Sequence

from engine.compile.plan import Plan
from engine.errors import UserError
from engine.report.collect import Revision, Workspace
from engine.report.html import page
from engine.report.layout import Layout
from engine.report.spec import Config
from engine.report.tables import Built
from engine.report.terminal import show
from engine.report.text import csv_text, json_table, latex, markdown
from engine.report.views import built_tables, comparisons, layouts
from engine.run.home import home
from engine.spec.study import BaseStudy
from engine.track.failures import failed_stages

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
        _print(study, comparisons(config, {r: Revision(root, r).read for r in revisions}), [], format)
        return
    read = Revision(root, revisions[0]).read if revisions else Workspace(root).read
    failed = () if revisions else failed_stages(home())
    _print(study, layouts(config, read, failed), built_tables(config, read, failed), format)


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
