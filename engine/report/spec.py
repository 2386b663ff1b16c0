"""Configuration of the built-in ``report`` stage: what goes into the tables, and from which stages."""

from __future__ import annotations

from collections.abc import Mapping

from pydantic import Field

from engine.spec.component import ModelRef, Name, StageConfig, Strict
from engine.spec.study import Paper
from engine.spec.table import Table


class Cell(Strict):
    """Where the values of one model under one evaluation come from."""

    protocol: Name
    model: ModelRef
    stage: str

    @property
    def metrics_path(self) -> str:
        """The stage's metrics file, below the checkout."""
        study, local = self.stage.split(".", 1)
        return f"results/{study}/{local}.metrics.json"


class Config(StageConfig):
    """Inputs: ``metrics``, one file for each of ``cells``, in the same order."""

    title: str
    paper: Paper | None = None
    tables: dict[Name, Table]
    order: tuple[Name, ...] = Field(default=(), description="Of the tables, as the spec has it; files sort their keys.")
    deviations: tuple[str, ...] = ()
    seeds: tuple[int, ...]
    cells: tuple[Cell, ...]

    @property
    def ordered(self) -> Mapping[Name, Table]:
        """The tables in the spec's order."""
        return {name: self.tables[name] for name in self.order or self.tables}
