"""Tables as line charts: what a spec may say of them, and what is drawn."""

from __future__ import annotations

import json
import math

import pytest
from pydantic import ValidationError

from engine.compile.plan import identity
from engine.report.line_chart import COLOURS, plot_lines, step_names
from engine.report.picture import plot
from engine.report.spec import Cell, Config
from engine.report.stage import run
from engine.report.tables import Results, build
from engine.run.checkpoint import Checkpoints
from engine.run.context import Context
from engine.run.local import Local
from engine.run.pictures import save_picture
from engine.spec.table import Table
from engine.track.record import Record

ROWS = ["warm-rgb", "co.c1.rgb", "co.rgb", "warm-flow", "co.flow"]
LINES = {"RGB": ["warm-rgb", "co.c1.rgb", "co.rgb"], "flow": ["warm-flow", "co.flow"]}


def table(**changes) -> Table:
    content = {"rows": ROWS, "columns": ["probe.top1"], "lines": LINES, "steps": ["InfoNCE", "cycle 1", "cycle 2"]}
    return Table.model_validate_json(json.dumps(content | changes))


def errors(**changes) -> dict[tuple, str]:
    with pytest.raises(ValidationError) as caught:
        table(**changes)
    return {error["loc"]: error["msg"] for error in caught.value.errors()}


def results(values: list[list[float]]) -> Results:
    """values: of each seed, for each of ROWS."""
    by_seed = {(row, "probe.top1"): dict(enumerate(seeds)) for row, seeds in zip(ROWS, values) if seeds}
    return Results(by_seed, chance={"probe.top1": 0.125})


def drawn(axis) -> dict[str, list[tuple[float, float]]]:
    """Points of every line with a name."""
    lines = {container.get_label(): container.lines[0] for container in axis.containers}
    lines |= {line.get_label(): line for line in axis.lines if not line.get_label().startswith("_")}
    return {name: list(zip(map(float, line.get_xdata()), map(float, line.get_ydata()))) for name, line in lines.items()}


def test_each_line_shows_the_means_of_its_rows_in_order():
    paper = {"warm-rgb": {"probe.top1": 46.8}, "co.rgb": {"probe.top1": 70.2}}
    values = [[0.4, 0.5], [0.5], [0.6, 0.8], [0.9], []]
    figure = plot_lines(build("progress", table(paper=paper), results(values)))
    (axis,) = figure.axes
    points = drawn(axis)
    assert points["RGB"] == [(0, pytest.approx(45)), (1, pytest.approx(50)), (2, pytest.approx(70))]
    assert points["RGB, paper"] == [(0, 46.8), (2, 70.2)] and "flow, paper" not in points
    assert points["flow"][0] == (0, pytest.approx(90))
    assert math.isnan(points["flow"][1][1])  # not run: the line is broken
    assert {y for _, y in points["chance"]} == {12.5}
    assert [label.get_text() for label in axis.get_xticklabels()] == ["InfoNCE", "cycle 1", "cycle 2"]
    assert [c.lines[0].get_color() for c in axis.containers] == list(COLOURS[:2])
    low, high = axis.containers[0].lines[2][0].get_segments()[2][:, 1]  # a bar of one standard deviation: 14.14 points
    assert (low, high) == pytest.approx((70 - 200**0.5, 70 + 200**0.5))


def test_every_column_is_a_panel():
    wide = table(columns=["probe.top1", "retrieval.recall_at_1"])
    figure = plot_lines(build("progress", wide, results([[0.1]] * 5)))
    assert [axis.get_title() for axis in figure.axes] == ["probe top1", "retrieval recall at 1"]


def test_points_have_the_names_of_rows_that_lines_share():
    shared = table(lines={"one": ["warm-rgb", "co.rgb"], "two": ["warm-rgb"]}, steps=[], labels={"co.rgb": "CoCLR"})
    assert step_names(shared) == ("warm-rgb", "CoCLR")
    assert step_names(table(steps=[])) == ("0", "1", "2")


def test_mistakes_are_explained():
    words = "line 'RGB': 'co.rbg' is no row of this table. Did you mean 'co.rgb'?"
    assert words in errors(lines={"RGB": ["co.rbg"]})["lines",]
    assert "line 'RGB' has no rows" in errors(lines={"RGB": []})["lines",]
    assert "2 steps are named, but the longest line has 3 rows" in errors(steps=["a", "b"])["steps",]
    assert "the longest line has 0 rows" in errors(lines={}, steps=["a"])["steps",]


def test_tables_without_lines_are_what_they_were():
    """So that reports made before there were lines do not run again."""
    plain = table(lines={}, steps=[])
    cells = (Cell(protocol="probe", model="co.rgb", stage="s.probe.co.rgb"),)
    for given, expected in ((plain, False), (table(), True)):
        config = Config(title="t", tables={"progress": given}, seeds=(0,), cells=cells)
        stored = identity(config)["tables"]["progress"]
        assert ("lines" in stored, "steps" in stored) == (expected, expected)


def test_the_report_draws_lines_where_a_table_has_them(tmp_path):
    scores = {"seeds": {"0": {"top1": 0.5}, "1": {"top1": 0.6}}}
    (tmp_path / "out").mkdir()
    (tmp_path / "scores.json").write_text(json.dumps(scores))
    cells = tuple(Cell(protocol="probe", model=row, stage=f"s.probe.{row}") for row in ROWS)
    tables = {"progress": table(), "plain": table(lines={}, steps=[])}
    context = Context(
        name="s.report",
        seed=0,
        inputs={"metrics": (tmp_path / "scores.json",) * len(cells)},
        out=tmp_path / "out",
        local=Local(),
        record=Record(None),
        checkpoints=Checkpoints(None),
    )
    run(Config(title="t", tables=tables, seeds=(0, 1), cells=cells), context)
    values = {(row, "probe.top1"): {0: 0.5, 1: 0.6} for row in ROWS}
    for name, draw in (("progress", plot_lines), ("plain", plot)):
        expected = save_picture(tmp_path / f"{name}.png", draw(build(name, tables[name], Results(values))))
        assert (tmp_path / "out" / "pictures" / f"{name}.png").read_bytes() == expected.read_bytes()
