"""Measured values from metrics files: in the workspace, or in any git revision or DVC experiment."""

from __future__ import annotations

import json
import subprocess
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Callable, Iterable, Mapping

from engine.errors import UserError
from engine.report.spec import Cell
from engine.report.tables import Key, Results
from engine.spec.table import Table

Read = Callable[[Cell], str | None]
"""Text of the metrics file of a cell; None if there is none."""


@dataclass(frozen=True)
class Workspace:
    """Metrics files below a checkout."""

    root: Path

    def read(self, cell: Cell) -> str | None:
        path = self.root / cell.metrics_path
        return path.read_text(encoding="utf-8") if path.exists() else None


@dataclass(frozen=True)
class Revision:
    """Metrics files as a git revision has them: a commit, a branch, or the name of a DVC experiment."""

    root: Path
    name: str

    @cached_property
    def commit(self) -> str:
        """The commit that ``name`` stands for. Raises UserError if there is none."""
        for attempt in (self.name, *self._experiments()):
            found = _git(
                self.root, "rev-parse", "--verify", "--quiet", "--end-of-options", f"{attempt}^{{commit}}"
            )
            if found:
                return found.strip()
        known = sorted(
            ref.rsplit("/", 1)[-1]
            for ref in (_git(self.root, "for-each-ref", "--format=%(refname)", "refs/exps") or "").split()
        )
        raise UserError(
            f"{self.name!r} is neither a git revision nor a DVC experiment of {self.root}. "
            f"Experiments: {', '.join(known) if known else 'none (`dvc exp run` makes them)'}"
        )

    def read(self, cell: Cell) -> str | None:
        return _git(self.root, "show", f"{self.commit}:./{cell.metrics_path}")

    def _experiments(self) -> list[str]:
        # DVC keeps an experiment under refs/exps/<2 digits>/<38 digits of its baseline>/<name>.
        refs = (
            _git(self.root, "for-each-ref", "--sort=-creatordate", "--format=%(refname)", "refs/exps") or ""
        ).split()
        return [ref for ref in refs if ref.count("/") == 4 and ref.rsplit("/", 1)[-1] == self.name]


def collect(table: Table, cells: Iterable[Cell], read: Read, failed: Iterable[str] = ()) -> Results:
    """The values of a table.

    Raises UserError for a metrics file that cannot be read, or lacks a metric that the table wants.
    """
    sources = {(cell.protocol, cell.model): cell for cell in cells}
    failed = set(failed)
    contents: dict[str, Mapping[str, Any] | None] = {}
    values: dict[Key, Mapping[int, float]] = {}
    missing: dict[Key, str] = {}
    videos: dict[Key, int] = {}
    chance: dict[str, float] = {}
    for row in table.rows:
        for column in table.columns:
            protocol, metric = column.split(".", 1)
            cell = sources.get((protocol, row))
            if cell is None:
                missing[row, column] = f"{protocol} is not asked for"
                continue
            if cell.stage not in contents:
                contents[cell.stage] = _parse(read(cell), cell)
            content = contents[cell.stage]
            if content is None:
                missing[row, column] = (
                    f"{cell.stage} failed" if cell.stage in failed else f"{cell.stage} has not run"
                )
                continue
            values[row, column] = by_seed(content, metric, cell)
            if "test_videos" in content:
                videos[row, column] = int(content["test_videos"])
            if isinstance(level := _walk(content.get("chance", {}), metric), (int, float)):
                chance[column] = level
    return Results(values, missing, videos, chance)


def by_seed(content: Mapping[str, Any], metric: str, cell: Cell) -> dict[int, float]:
    """Seed -> value of one metric. Raises UserError if the file does not have it."""
    found: dict[int, float] = {}
    for seed, metrics in content.get("seeds", {}).items():
        value = _walk(metrics, metric)
        if not isinstance(value, (int, float)) or isinstance(value, bool):
            have = ", ".join(metrics) if isinstance(metrics, Mapping) else "none"
            raise UserError(f"{cell.metrics_path}: seed {seed} has no metric {metric!r}; it has: {have}")
        found[int(seed)] = float(value)
    if not found:
        raise UserError(f"{cell.metrics_path}: no values under `seeds`, so it is no result of an evaluation")
    return found


def _walk(value: Any, metric: str) -> Any:
    for step in metric.split("."):
        value = value.get(step) if isinstance(value, Mapping) else None
    return value


def _parse(text: str | None, cell: Cell) -> Mapping[str, Any] | None:
    if text is None:
        return None
    try:
        content = json.loads(text)
    except ValueError as error:
        raise UserError(
            f"{cell.metrics_path}: not JSON ({error}); delete it and run {cell.stage} again"
        ) from None
    if not isinstance(content, Mapping):
        raise UserError(f"{cell.metrics_path}: a mapping with `seeds` is expected")
    return content


def _git(root: Path, *arguments: str) -> str | None:
    done = subprocess.run(["git", "-C", str(root), *arguments], capture_output=True, check=False)
    return done.stdout.decode("utf-8") if done.returncode == 0 else None
