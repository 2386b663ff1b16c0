"""A small study of tables, worked by hand."""

import json

import pytest

from engine.report.tables import Results
from engine.spec.table import Table


@pytest.fixture
def table():
    return Table.model_validate_json(
        json.dumps(
            {
                "title": "Two & a half models",
                "source": "Paper, table 1",
                "rows": ["random", "base", "ours.rgb"],
                "columns": ["probe.top1", "retrieval.recall_at_1"],
                "labels": {"probe.top1": "probe top-1", "ours.rgb": "ours_rgb"},
                "paper": {
                    "base": {"probe.top1": 46.8},
                    "ours.rgb": {"probe.top1": {"value": 70.2, "note": "two streams"}},
                },
                "claims": ["ours.rgb > base on probe.top1", "base > ours.rgb on retrieval.recall_at_1"],
            }
        )
    )


@pytest.fixture
def results():
    return Results(
        values={
            ("random", "probe.top1"): {0: 0.10, 1: 0.12, 2: 0.14},  # 12.0, sd 2.0
            ("base", "probe.top1"): {0: 0.40, 1: 0.44, 2: 0.42},  # 42.0, sd 2.0
            ("ours.rgb", "probe.top1"): {0: 0.50, 1: 0.56},  # 53.0, sd sqrt(18) = 4.24
            ("random", "retrieval.recall_at_1"): {0: 0.25},
            ("base", "retrieval.recall_at_1"): {0: 0.5},
        },
        missing={("ours.rgb", "retrieval.recall_at_1"): "study.retrieval.ours.rgb failed"},
        test_videos={("base", "probe.top1"): 100, ("random", "probe.top1"): 100},
        chance={"probe.top1": 0.125},
    )
