"""Supervised models in a spec: what is wrong with them, and which stages they become."""

from __future__ import annotations

import json

import pytest

from engine.compile.plan import Plan
from engine.spec.component import Problem
from stages.study import Study


def study(models: dict, **changes) -> Study:
    content = {
        "spec": 1,
        "name": "demo",
        "data": {"kind": "synthetic_untrimmed"},
        "datasets": {"trimmed": {"kind": "synthetic_actions"}},
        "encoder": {"kind": "narrow", "width": 8},
        "clip": {"frames": 8, "size": 48},
        "models": models,
    }
    return Study.model_validate_json(json.dumps(content | changes))


def problems(model: dict, **changes) -> list[Problem]:
    found = study({"m": {"method": "supervised", **model}}, **changes)
    return found.models["m"].problems(found)


def test_the_defaults_are_tsms_for_kinetics():
    schedule = study({"m": {"method": "supervised"}}).models["m"].schedule
    assert (schedule.epochs, schedule.batch, schedule.optimizer, schedule.lr, schedule.weight_decay) == (
        50,
        128,
        "sgd",
        0.02,
        1e-4,
    )
    assert [m * schedule.epochs for m in schedule.milestones] == [20, 40]


@pytest.mark.parametrize(
    "model, changes, path, words",
    [
        ({"view": "flwo"}, {}, ("view",), "no view 'flwo'"),
        ({"data": "trimed"}, {}, ("data",), "no data set 'trimed'. Did you mean 'trimmed'"),
        ({"data": "trimmed", "on": "segments"}, {}, ("on",), "on: segments needs untrimmed videos"),
        ({"encoder": {"kind": "s3d"}, "clip": {"frames": 4}}, {}, ("clip",), "5 frames"),
    ],
)
def test_problems(model, changes, path, words):
    assert any(p.path == path and words in p.message for p in problems(model, **changes)), problems(model, **changes)


def test_no_problem_with_what_is_right():
    assert problems({"on": "segments"}) == problems({"data": "trimmed"}) == problems({}) == []


def test_weights_that_init_would_overwrite():
    models = {
        "a": {"method": "random"},
        "m": {"method": "supervised", "init": "a", "encoder": {"kind": "s3d", "weights": "KINETICS400_V1"}},
    }
    found = study(models, encoder={"kind": "s3d"}).models["m"].problems(study(models, encoder={"kind": "s3d"}))
    assert [p.path for p in found] == [("init",)] and "overwrite" in found[0].message


def test_stages_on_the_studys_data_and_on_another():
    models = {
        "acp": {"method": "supervised", "data": "trimmed", "clip": {"frames": 4, "size": 32}},
        "plus": {"method": "supervised", "on": "segments", "init": "acp"},
    }
    models["slow"] = models["plus"] | {"clip": {"stride": 3}}
    plan = Plan(study(models))
    slow = plan.stages["demo.slow.s0"].config.clip
    assert (slow.frames, slow.stride, slow.size) == (8, 3, 48)  # what is not given is the study's
    acp, plus = plan.stages["demo.trimmed.acp.s0"], plan.stages["demo.plus.s0"]
    assert {role: source.stage for role, source in acp.inputs.items()} == {"clips": "demo.trimmed.clips"}
    assert {role: source.stage for role, source in plus.inputs.items()} == {
        "clips": "demo.clips", "annotations": "demo.untrimmed", "init": "demo.trimmed.acp.s0",
    }  # fmt: skip
    assert (acp.config.clip.size, plus.config.clip.size, plus.config.on) == (32, 48, "segments")
    assert acp.expected == {"train": 800, "test": 400} and plus.expected == {"train": 120, "test": 60}
