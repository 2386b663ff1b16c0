"""From values to cells, layouts and formats."""

import csv
import io
import json
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.report.html import page
from engine.report.layout import Text, compare, layout, number, signed
from engine.report.tables import Results, build
from engine.report.terminal import show
from engine.report.text import csv_text, json_table, latex, markdown
from engine.spec.table import Table


def cell(laid, row, index):
    return next(texts for label, texts in laid.rows if label == row)[index]


def test_numbers_by_hand(table, results):
    e = build("t", table, results).entries["ours.rgb", "probe.top1"]
    assert (e.mean, e.sd, e.seeds, e.delta) == pytest.approx((53.0, 18**0.5, 2, 53.0 - 70.2))
    e = build("t", table, results).entries["base", "probe.top1"]
    assert e.sampling == pytest.approx(196 * (0.42 * 0.58 / 100) ** 0.5)
    assert build("t", table, results).entries["base", "retrieval.recall_at_1"].sd is None


def test_layout_shows_paper_ours_and_difference(table, results):
    laid = layout(build("t", table, results), ["smaller"])
    assert laid.groups == (("probe top-1", ("paper", "ours", "Δ")), ("retrieval recall at 1", ("ours",)))
    assert [str(cell(laid, "base", i)) for i in range(4)] == ["46.8", "42.0 ± 2.0", "−4.8", "50.0 (a)"]
    assert cell(laid, "ours_rgb", 1) == Text("53.0 ± 4.2", "ours", "c")
    assert cell(laid, "ours_rgb", 3).kind == "missing" and cell(laid, "ours_rgb", 3).text == "–"
    assert cell(laid, "chance", 1) == Text("12.5", "chance")
    assert "(a) 1 seed instead of 3" in laid.notes and "(b) two streams" in laid.notes
    assert "(d) study.retrieval.ours.rgb failed" in laid.notes
    assert any("over 3 seeds" in note for note in laid.notes) and "Paper: Paper, table 1." in laid.notes
    assert [c.status for c in laid.claims] == ["undecided", "undecided"]
    assert "no seed has both values" in laid.claims[1].detail


def test_nothing_measured_is_a_table_of_dashes(table):
    laid = layout(build("t", table, Results()))
    assert all(t.text == "–" for _, texts in laid.rows for t in texts if t.kind == "missing")
    assert "(a) not run" in laid.notes


def test_signs():
    assert (signed(1.25, 1), signed(-0.04, 1), signed(-3, 1), signed(0.0, 2)) == (
        "+1.2",
        "0.0",
        "−3.0",
        "0.00",
    )
    assert number(-0.01, 1) == "0.0"


def test_plain_numbers_are_not_scaled():
    t = Table.model_validate({"rows": ("a",), "columns": ("p.rank",), "unit": "number", "decimals": 2})
    laid = layout(build("t", t, Results({("a", "p.rank"): {0: 3.0}})))
    assert cell(laid, "a", 0).text == "3.00" and not any("per cent" in n for n in laid.notes)


@given(st.permutations(range(5)))
def test_order_of_seeds_changes_no_bit(order):
    t = Table.model_validate({"rows": ("a",), "columns": ("p.m",)})
    values = {seed: 0.1 + seed / 7 for seed in range(5)}
    built = [build("t", t, Results({("a", "p.m"): v})) for v in (values, {s: values[s] for s in order})]
    assert built[0].entries == built[1].entries


def test_experiments_side_by_side(table, results):
    changed = Results({**results.values, ("base", "probe.top1"): {0: 0.41, 1: 0.46, 2: 0.45}})
    laid = compare("t", table, {"main": results, "topk1": changed})
    assert laid.groups[0] == ("probe top-1", ("main", "topk1", "Δ to main"))
    # +1, +2, +3 points: mean 2, sd 1
    assert [t.text for t in next(x for label, x in laid.rows if label == "base")[:3]] == [
        "42.0 ± 2.0",
        "44.0 ± 2.6",
        "+2.0 ± 1.0",
    ]
    assert [c.claim.split(":")[0] for c in laid.claims] == ["main", "main", "topk1", "topk1"]


def test_markdown(table, results):
    text = markdown(layout(build("t", table, results), ["a | b"]))
    rows = [line for line in text.splitlines() if line.startswith("|")]
    assert len({len(re.findall(r"(?<!\\)\|", row)) for row in rows}) == 1 and len(rows) == 2 + 4
    assert r"| ours\_rgb | 70.2 (b) | 53.0 ± 4.2 (c) | −17.2 | – (d) |" in rows
    assert r"- a \| b" in text and "**undecided**" in text


def test_csv_has_every_number(table, results):
    rows = list(csv.DictReader(io.StringIO(csv_text(build("t", table, results)))))
    assert len(rows) == 6
    row = next(r for r in rows if r["row"] == "ours.rgb" and r["column"] == "probe.top1")
    assert (row["paper"], row["mean"], row["seeds"], row["delta"]) == ("70.2", "53.0", "2", "-17.2")
    assert rows[-1]["mean"] == "" and rows[-1]["missing"] == "study.retrieval.ours.rgb failed"


def test_latex_is_escaped_and_balanced(table, results):
    text = latex(layout(build("t_1", table, results), ["50 % of {x}"]))
    assert (
        r"Two \& a half models" in text
        and r"ours\_rgb & 70.2$^{b}$ & 53.0 $\pm$ 4.2$^{c}$ & $-$17.2 & --$^{d}$ \\" in text
    )
    assert r"50 \% of \{x\}" in text and r"\label{tab:t-1}" in text
    assert text.isascii()
    plain = re.sub(r"\\[{}]", "", text)
    assert plain.count("{") == plain.count("}")
    assert r"\cmidrule(lr){2-4}" in text and r"\begin{tabular}{lrrrr}" in text


def test_json_is_what_mlflow_reads_as_a_table(table, results):
    content = json.loads(json_table(layout(build("t", table, results))))
    assert content["columns"] == ["model", "probe top-1 (paper)", "retrieval recall at 1"]
    assert content["data"][1] == ["base", "42.0 ± 2.0 (46.8)", "50.0"]


def test_html_needs_nothing_else_and_is_escaped(table, results):
    text = page("A <b>", [layout(build("t", table, results))], ["x < y"])
    assert "<title>A &lt;b&gt;</title>" in text and "x &lt; y" in text and "Two &amp; a half models" in text
    assert "<script" not in text and "src=" not in text and "@import" not in text
    assert text.count("<tr>") == 2 + 4


def test_terminal(table, results):
    from rich.console import Console

    console = Console(file=io.StringIO(), width=120)
    show([layout(build("t", table, results), ["[bold]smaller"])], console)
    text = console.file.getvalue()
    assert "53.0 ± 4.2" in text and "~ undecided: ours.rgb > base" in text and "- [bold]smaller" in text
