"""InfoNCE and random models in a spec: what is wrong with them, and which stages they become."""

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
        "data": {"kind": "synthetic_actions"},
        "encoder": {"kind": "narrow", "width": 8},
        "clip": {"frames": 8, "size": 48},
        "views": {"rgb": {"kind": "rgb"}, "motion": {"kind": "difference"}},
        "models": models,
    }
    return Study.model_validate_json(json.dumps(content | changes))


def problems(models: dict, name: str = "m", **changes) -> list[Problem]:
    found = study(models, **changes)
    return found.models[name].problems(found)


def infonce(**fields) -> dict:
    return {"method": "infonce", **fields}


def test_the_defaults_are_coclrs():
    model = study({"m": infonce()}).models["m"]
    assert (model.temperature, model.dim, model.queue, model.momentum, model.positives) == (0.07, 128, 2048, 0.999, "own")
    s = model.schedule
    assert (s.epochs, s.batch, s.optimizer, s.lr, s.weight_decay) == (300, 32, "adam", 1e-3, 1e-5)
    assert [round(m * s.epochs) for m in s.milestones] == [250, 280]


@pytest.mark.parametrize(
    "model, changes, path, words",
    [
        (infonce(view="flwo"), {}, ("view",), "no view 'flwo'"),
        ({"method": "random", "view": "motoin"}, {}, ("view",), "Did you mean 'motion'"),
        (infonce(queue=16), {}, ("queue",), "queue has 16 keys, fewer than a batch of 32"),
        (infonce(schedule={"batch": 2}), {}, ("shuffle_bn",), "a batch of 4 at least"),
        (
            infonce(view="motion", encoder={"kind": "s3d", "weights": "KINETICS400_V1"}),
            {},
            ("encoder",),
            "for RGB, not for a view of kind 'difference'",
        ),
        (infonce(), {"encoder": {"kind": "mvit_v2_s"}, "clip": {"size": 50}}, ("view",), "a multiple of 4 pixels"),
        ({"method": "random", "encoder": {"kind": "s3d"}}, {"clip": {"frames": 4}}, ("encoder",), "5 frames"),
    ],
)
def test_what_cannot_work_is_a_problem_of_the_spec(model, changes, path, words):
    (found,) = problems({"m": model}, **changes)
    assert found.path == path and words in found.message


@pytest.mark.parametrize(
    "start, words",
    [
        (infonce(view="motion"), "model 'a' encodes view 'motion', this one 'rgb'"),
        (infonce(encoder={"kind": "narrow", "width": 16}), "model 'a' has encoder narrow 16, this one narrow 8"),
        (infonce(encoder={"kind": "s3d"}), "model 'a' has encoder s3d, this one narrow 8"),
    ],
)
def test_a_start_that_does_not_fit(start, words):
    (found,) = problems({"a": start, "m": infonce(init="a")})
    assert found.path == ("init",) and words in found.message


def test_a_start_and_pretrained_weights_exclude_each_other():
    s3d = {"kind": "s3d", "weights": "KINETICS400_V1"}
    (found,) = problems({"a": infonce(encoder={"kind": "s3d"}), "m": infonce(init="a", encoder=s3d)})
    assert "drop one of the two" in found.message


def test_what_works_is_no_problem():
    models = {"a": infonce(view="motion"), "r": {"method": "random"}, "m": infonce(view="motion", init="a", positives="label")}
    assert [problems(models, name) for name in models] == [[], [], []]


def test_each_seed_is_a_stage_that_reads_the_clips_and_its_start():
    plan = Plan(study({"a": infonce(), "m": infonce(init="a"), "r": {"method": "random"}}, seeds=[0, 7]))
    a7, m7 = plan.stages["demo.a.s7"], plan.stages["demo.m.s7"]
    assert a7.inputs == {"clips": plan.data} and a7.seed == 7
    assert m7.inputs == {"clips": plan.data, "init": a7.output}
    assert plan.model("m", 7) == m7.output
    assert (m7.config.view.kind, m7.config.clip.size, m7.config.encoder.width) == ("rgb", 48, 8)
    assert plan.stages["demo.r.s0"].inputs == {}
