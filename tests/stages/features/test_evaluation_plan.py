"""What evaluations add to a plan, and what is wrong with them in a spec."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from engine.compile.plan import Plan
from engine.spec.wiring import wiring
from stages.study import Study

BASE = {
    "spec": 1,
    "name": "demo",
    "data": {"kind": "synthetic_actions"},
    "encoder": {"kind": "narrow", "width": 8},
    "clip": {"frames": 4, "size": 32},
    "seeds": [0, 1],
    "models": {"random": {"method": "random"}},
}


def study(*evaluate: dict, **changes) -> Study:
    import json

    models = changes.get("models", BASE["models"])
    full = [{"models": list(models), **evaluation} for evaluation in evaluate]
    return Study.model_validate_json(json.dumps({**BASE, **changes, "evaluate": full}))


def stages(*evaluate: dict, **changes) -> dict:
    return {s.name.removeprefix("demo."): s for s in Plan(study(*evaluate, **changes)).stages.values()}


def test_protocols_that_look_alike_share_features() -> None:
    found = stages({"protocol": "linear_probe", "windows": 3}, {"protocol": "retrieval", "windows": 3})
    assert {"features.random", "linear_probe.random", "retrieval.random"} < set(found)
    assert [n for n in found if n.startswith("features")] == ["features.random"]
    features = found["features.random"]
    assert [s.stage for s in features.inputs["models"]] == ["demo.random.s0", "demo.random.s1"]
    assert features.config.look.windows == 3 and features.config.seeds == (0, 1)
    assert found["linear_probe.random"].inputs["features"] == features.output
    assert found["retrieval.random"].inputs["features"] == (features.output,)


def test_a_protocol_that_looks_otherwise_has_features_of_its_own_under_a_name_that_settings_do_not_change() -> (
    None
):
    for windows in (5, "half_overlap"):
        found = stages(
            {"protocol": "linear_probe", "windows": 3},
            {"protocol": "retrieval", "windows": windows},
            {"protocol": "retrieval", "name": "again", "windows": windows, "centre": "own"},
        )
        assert [n for n in found if n.startswith("features")] == [
            "features.random",
            "features-retrieval.random",
        ]
        assert found["again.random"].inputs["features"][0].stage == "demo.features-retrieval.random"
        assert found["features-retrieval.random"].config.look.windows == windows


def test_the_sgd_probe_reads_encoders() -> None:
    found = stages({"protocol": "linear_probe", "mode": "sgd", "sgd": {"lr": [0.1, 1.0]}})
    probe = found["linear_probe.random"]
    assert "features.random" not in found
    assert [s.stage for s in probe.inputs["models"]] == ["demo.random.s0", "demo.random.s1"]
    assert probe.config.augmented.sgd.lr == (0.1, 1.0) and probe.config.lbfgs is None


def test_settings_that_do_nothing_are_problems() -> None:
    problems = wiring(study({"protocol": "linear_probe", "sgd": {"epochs": 3}}))
    assert [(p.path, p.message) for p in problems] == [
        (("evaluate", 0, "sgd"), "sgd: these settings have no effect in mode 'lbfgs'")
    ]
    assert not wiring(study({"protocol": "linear_probe", "mode": "sgd", "sgd": {"epochs": 3}}))


def test_a_value_that_stands_twice_is_a_problem() -> None:
    problems = wiring(study({"protocol": "linear_probe", "lbfgs": {"l2": [0.1, 1.0, 0.1]}}))
    assert [p.path for p in problems] == [("evaluate", 0, "lbfgs", "l2")]


def test_a_clip_that_the_encoder_cannot_take_is_a_problem() -> None:
    problems = wiring(
        study(
            {"protocol": "retrieval", "clip": {"frames": 2, "size": 64}},
            clip={"frames": 8, "size": 64},
            encoder={"kind": "s3d"},
        )
    )
    assert [p.path for p in problems] == [("evaluate", 0, "clip")]
    assert "random: s3d needs clips of 5 frames" in problems[0].message


@pytest.mark.parametrize(
    "evaluation",
    [
        {"protocol": "retrieval", "windows": 0},
        {"protocol": "retrieval", "windows": "overlap"},
        {"protocol": "retrieval", "centre": "test"},
        {"protocol": "linear_probe", "lbfgs": {"l2": []}},
        {"protocol": "linear_probe", "lbfgs": {"l2": [0.0]}},
        {"protocol": "linear_probe", "held_out": {"share": 1.0}},
        {"protocol": "linear_probe", "mode": "adam"},
    ],
)
def test_values_that_make_no_sense_are_refused(evaluation: dict) -> None:
    with pytest.raises(ValidationError):
        study(evaluation)


def test_columns_of_tables_are_what_the_stages_report() -> None:
    tables = {
        "t": {
            "rows": ["random"],
            "columns": ["linear_probe.top5", "linear_probe.mean_class", "retrieval.recall_at_50"],
        }
    }
    assert not wiring(study({"protocol": "linear_probe"}, {"protocol": "retrieval"}, tables=tables))
