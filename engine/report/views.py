"""All tables of a study at once: for the report stage and for ``vidspec table``."""

from __future__ import annotations

from dataclasses import replace
from typing import Iterable, Mapping

from engine.report.collect import Read, collect
from engine.report.layout import Layout, compare, layout
from engine.report.spec import Config
from engine.report.tables import Built, build


def built_tables(config: Config, read: Read, failed: Iterable[str] = ()) -> list[Built]:
    """The numbers of each table. ``failed``: stages whose missing results are to be called failed."""
    failed = set(failed)
    return [
        build(name, table, collect(table, config.cells, read, failed))
        for name, table in config.ordered.items()
    ]


def layouts(config: Config, read: Read, failed: Iterable[str] = ()) -> list[Layout]:
    """The tables as text; the study's deviations stand under the last one."""
    found = [layout(built) for built in built_tables(config, read, failed)]
    return [*found[:-1], replace(found[-1], deviations=config.deviations)] if found else []


def comparisons(config: Config, reads: Mapping[str, Read]) -> list[Layout]:
    """Each table for several experiments side by side; the first is what the others are compared to."""
    return [
        compare(name, table, {label: collect(table, config.cells, read) for label, read in reads.items()})
        for name, table in config.ordered.items()
    ]
