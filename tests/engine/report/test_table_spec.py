"""Tables in specs: what is accepted, and how mistakes are explained."""

import json

import pytest
from pydantic import ValidationError

from engine.spec.table import Claim, Table, parse_claim

BASE = {"rows": ["infonce-rgb", "coclr.rgb"], "columns": ["linear_probe.top1"]}


def table(**more):
    return Table.model_validate_json(json.dumps({**BASE, **more}))


def errors(**more):
    with pytest.raises(ValidationError) as caught:
        table(**more)
    return {e["loc"]: e["msg"] for e in caught.value.errors()}


def test_paper_value_may_be_a_bare_number_or_have_a_source():
    t = table(
        paper={
            "infonce-rgb": {"linear_probe.top1": 47},
            "coclr.rgb": {"linear_probe.top1": {"value": 70.2, "source": "t. 1"}},
        }
    )
    assert t.paper["infonce-rgb"]["linear_probe.top1"].value == 47.0
    assert t.paper["coclr.rgb"]["linear_probe.top1"].source == "t. 1"


@pytest.mark.parametrize("wrong", ["47", True, None, {"source": "t. 1"}, {"value": 1, "sauce": "x"}])
def test_paper_value_of_another_kind_is_an_error(wrong):
    assert errors(paper={"coclr.rgb": {"linear_probe.top1": wrong}})


def test_schema_for_editors_allows_numbers_and_mappings():
    import jsonschema

    schema = Table.model_json_schema()
    for value in (47, 46.8, {"value": 46.8, "note": "other backbone"}):
        jsonschema.validate({**BASE, "paper": {"coclr.rgb": {"linear_probe.top1": value}}}, schema)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({**BASE, "paper": {"coclr.rgb": {"linear_probe.top1": "x"}}}, schema)


def test_claims_are_read():
    assert parse_claim("coclr.rgb > infonce-rgb on linear_probe.top1") == Claim(
        "coclr.rgb", ">", "infonce-rgb", "linear_probe.top1"
    )
    again = "a >= b.c on retrieval.recall_at_1 (or undecided)"
    assert parse_claim(again).or_undecided and str(parse_claim(again)) == again


@pytest.mark.parametrize(
    ("claim", "words"),
    [
        ("coclr.rgb < infonce-rgb on linear_probe.top1", "must be > or >="),
        ("coclr.rgb > infonce-rgb", '"on" which column'),
        ("coclr.rgb > coclr.rgb on linear_probe.top1", "with itself"),
        ("coclr.rgb > infonce-rgb on top1", "no column"),
        ("better on linear_probe.top1", "cannot be read"),
        ("coclr.rgb > infonce-rgp on linear_probe.top1", "Did you mean 'infonce-rgb'?"),
        ("coclr.rgb > infonce-rgb on linear_probe.top5", "Did you mean 'linear_probe.top1'?"),
    ],
)
def test_a_wrong_claim_is_explained_at_its_place(claim, words):
    found = errors(claims=["coclr.rgb > infonce-rgb on linear_probe.top1", claim])
    assert set(found) == {("claims", 1)} and words in found["claims", 1]


def test_rows_columns_and_labels_are_checked():
    assert "twice" in errors(rows=["a", "a"])["rows",]
    assert "pattern" in errors(columns=["top1"])["columns", 0]
    assert "Did you mean 'coclr.rgb'?" in errors(labels={"coclr.rbg": "CoCLR"})["labels",]


def test_labels_default_to_readable_names():
    t = table(labels={"coclr.rgb": "CoCLR"})
    assert (t.label("coclr.rgb"), t.label("infonce-rgb"), t.label("linear_probe.top1")) == (
        "CoCLR",
        "infonce-rgb",
        "linear probe top1",
    )
