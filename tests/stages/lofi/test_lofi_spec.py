"""LoFi in a spec: what is wrong with it, which stages it becomes, and what it says it will cost."""

from __future__ import annotations

import json

import pytest
from pydantic import ValidationError

from engine.compile.plan import Plan
from engine.run.local import Local
from stages.study import Study

SMALL = {"count": 16, "frames": 4, "stride": 1, "size": 32}


def study(model: dict, **changes) -> Study:
    content = {
        "spec": 1,
        "name": "demo",
        "data": {"kind": "synthetic_untrimmed"},
        "encoder": {"kind": "narrow", "width": 8},
        "clip": {"frames": 4, "size": 32},
        "models": {"acp": {"method": "supervised"}, "m": {"method": "lofi", "snippets": SMALL, **model}},
    }
    return Study.model_validate_json(json.dumps(content | changes))


def problems(model: dict, **changes) -> list[tuple[tuple, str]]:
    found = study(model, **changes)
    return [(problem.path, problem.message) for problem in found.models["m"].problems(found)]


def test_the_defaults_are_the_papers():
    lofi = study({"snippets": {}}).models["m"]
    s = lofi.schedule
    assert (s.optimizer, s.lr, s.momentum, s.weight_decay, s.batch, s.factor, s.every) == (
        "sgd",
        0.1,
        0,
        1e-4,
        16,
        0.5,
        5,
    )
    assert (lofi.cycle.kind, lofi.cycle.order, lofi.cycle.period) == ("long", ("S", "T", "ST"), 1)
    assert [(lofi.seen(f).count, lofi.seen(f).size) for f in ("full", "S", "T", "ST")] == [
        (100, 224),
        (100, 112),
        (25, 224),
        (50, 158),
    ]
    assert study({"cycle": {"kind": "short"}}).models["m"].cycle.period == 16


@pytest.mark.parametrize(
    "model, changes, path, words",
    [
        ({"init": "acp", "view": "flwo"}, {}, ("view",), "no view 'flwo'"),
        ({}, {}, ("frozen_norm",), "those of random weights are none"),
        ({"frozen_norm": False, "chunk": 4}, {}, ("chunk",), "chunk needs frozen_norm"),
        ({"init": "acp"}, {"data": {"kind": "synthetic_actions"}}, ("method",), "needs untrimmed videos"),
        ({"init": "acp", "encoder": {"kind": "narrow", "width": 16}}, {}, ("init",), "narrow 8"),
        (
            {"init": "acp", "encoder": {"kind": "mvit_small"}},
            {},
            ("cycle",),
            "ST, 8 snippets at 23 pixels: mvit_small takes",
        ),
        (
            {"init": "acp", "encoder": {"kind": "mvit_small"}, "configurations": {"S": {"space": 1.9}}},
            {},
            ("configurations", "S"),
            "S, 16 snippets at 17 pixels",
        ),
    ],
)
def test_problems(model, changes, path, words):
    found = problems(model, **changes)
    assert any(where == path and words in message for where, message in found), found


def test_no_problem_with_what_is_right():
    assert problems({"init": "acp"}) == problems({"frozen_norm": False}) == []
    assert problems({"encoder": {"kind": "tsm_resnet18", "weights": "IMAGENET1K_V1"}}) == []


def test_a_configuration_stands_once_in_a_cycle():
    with pytest.raises(ValidationError, match="names a configuration twice"):
        study({"cycle": {"kind": "long", "order": ["S", "T", "S"]}})


def test_the_stage_reads_clips_annotations_and_the_start():
    plan = Plan(study({"init": "acp", "cycle": {"kind": "constant", "fidelity": "T"}}))
    stage = plan.stages["demo.m.s0"]
    assert {role: source.stage for role, source in stage.inputs.items()} == {
        "clips": "demo.clips", "annotations": "demo.untrimmed", "init": "demo.acp.s0",
    }  # fmt: skip
    assert stage.kind == "lofi" and stage.config.fidelities() == ("T",)


def test_the_forecast_has_steps_and_memory():
    config = (
        Plan(study({"init": "acp", "micro_batch": 2, "cycle": {"kind": "constant", "fidelity": "T"}}))
        .stages["demo.m.s0"]
        .config
    )
    line = config.forecast({}, Local(device="cpu"), {"train": 120})
    assert line.startswith("105 steps, ")  # 15 epochs of 7 batches
    assert "predicted memory with 2 of 16 videos at a time: T (4 x 32 x 32) " in line
    assert config.forecast({}, Local(device="cpu"), {}).startswith("15 epochs in batches of 16 videos, ")


def test_how_a_head_would_infer_trains_no_encoder_again():
    def trained(head: dict):
        (stage,) = [s for s in Plan(study({"head": head})).stages.values() if s.kind == "lofi"]
        return stage.config

    assert trained({"inference": {"sigma": 0.5}, "parity": True}) == trained({})
    assert trained({"align_bins": 8}) != trained({}) != trained({"loss": {"high": 0.8}})
