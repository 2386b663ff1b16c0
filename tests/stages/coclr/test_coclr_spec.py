"""CoCLR in a spec: what is wrong with it, and which stages it becomes."""

from __future__ import annotations

import json

import pytest
from pydantic import ValidationError

from engine.compile.plan import Plan, expand
from stages.study import Study

STARTS = {"a": {"method": "infonce"}, "b": {"method": "infonce", "view": "motion"}}


def study(coclr: dict, starts: dict = STARTS, **changes) -> Study:
    content = {
        "spec": 1,
        "name": "demo",
        "data": {"kind": "synthetic_actions"},
        "encoder": {"kind": "narrow", "width": 8},
        "clip": {"frames": 8, "size": 48},
        "views": {"rgb": {"kind": "rgb"}, "motion": {"kind": "difference"}},
        "models": {**starts, "m": {"method": "coclr", "init": {"rgb": "a", "motion": "b"}, **coclr}},
    }
    return Study.model_validate_json(json.dumps(content | changes))


def problems(coclr: dict, starts: dict = STARTS, **changes) -> list[tuple[tuple, str]]:
    found = study(coclr, starts, **changes)
    return [(p.path, p.message) for p in found.models["m"].problems(found)]


def test_the_defaults_are_those_of_coclrs_code():
    model = study({}).models["m"]
    assert (model.temperature, model.dim, model.queue, model.momentum, model.topk) == (0.07, 128, 2048, 0.999, 5)
    drop = model.own_positive
    assert (drop.kind, drop.probability, drop.per, drop.becomes) == ("drop", 0.9, "iteration", "negative")
    assert (model.same_source, model.fill, model.hand_on, model.cycles) == ("positive", "wait", "last", 2)
    s = model.schedule
    assert (s.epochs, s.batch, s.optimizer, s.lr, s.weight_decay) == (100, 32, "adam", 1e-3, 1e-5)
    assert [round(m * s.epochs) for m in s.milestones] == [80]
    assert study({"schedule": {"epochs": 50}}).models["m"].schedule.milestones == (0.8,)


def test_views_take_turns_and_mine_with_the_latest_network_of_the_other():
    plan = Plan(study({}))
    order = [name for name, stage in plan.stages.items() if stage.kind == "coclr"]
    assert order == ["demo.m.c1.rgb.s0", "demo.m.c1.motion.s0", "demo.m.c2.rgb.s0", "demo.m.c2.motion.s0"]
    inputs = {name: {r: s.stage for r, s in plan.stages[name].inputs.items() if r != "clips"} for name in order}
    assert inputs == {
        "demo.m.c1.rgb.s0": {"init": "demo.a.s0", "miner": "demo.b.s0"},
        "demo.m.c1.motion.s0": {"init": "demo.b.s0", "miner": "demo.m.c1.rgb.s0"},
        "demo.m.c2.rgb.s0": {"init": "demo.m.c1.rgb.s0", "miner": "demo.m.c1.motion.s0"},
        "demo.m.c2.motion.s0": {"init": "demo.m.c1.motion.s0", "miner": "demo.m.c2.rgb.s0"},
    }
    config = plan.stages["demo.m.c2.motion.s0"].config
    assert (config.view_name, config.view.kind) == ("motion", "difference")
    assert (config.other_name, config.other.kind) == ("rgb", "rgb")
    assert all(plan.stages[name].inputs["clips"] == plan.data for name in order)


def test_the_view_that_stands_first_is_trained_first():
    plan = Plan(study({"init": {"motion": "b", "rgb": "a"}, "cycles": 1}))
    assert [n for n, s in plan.stages.items() if s.kind == "coclr"] == ["demo.m.c1.motion.s0", "demo.m.c1.rgb.s0"]
    assert plan.stages["demo.m.c1.rgb.s0"].inputs["miner"].stage == "demo.m.c1.motion.s0"


@pytest.mark.parametrize("cycles", [1, 3])
def test_every_half_cycle_can_be_measured(cycles):
    found = study({"cycles": cycles}, seeds=[0, 4])
    plan = Plan(found)
    refs = {ref for ref in found.model_outputs() if ref.startswith("m.")}
    halves = {f"m.c{c}.{view}" for c in range(1, cycles + 1) for view in ("rgb", "motion")}
    assert refs == {"m.rgb", "m.motion", *halves}
    for view in ("rgb", "motion"):
        assert plan.model(f"m.{view}", 4) == plan.model(f"m.c{cycles}.{view}", 4)
        assert plan.model(f"m.c1.{view}", 4).stage == f"demo.m.c1.{view}.s4"
    assert found.models["m"].output_views()["c1.motion"] == "motion"


def test_a_half_cycle_may_be_where_another_begins_and_measured_by_name():
    more = {"method": "coclr", "init": {"rgb": "m.c1.rgb", "motion": "m.motion"}, "cycles": 1}
    evaluate = [{"protocol": "retrieval", "models": ["m.c1.rgb", "more.motion"]}]
    found = study({}, {**STARTS, "more": more}, evaluate=evaluate)
    assert found.models["more"].problems(found) == []
    stages = {stage.name: stage for stage in expand([found])}
    assert stages["demo.more.c1.rgb.s0"].inputs["init"].stage == "demo.m.c1.rgb.s0"
    assert "demo.retrieval.m.c1.rgb" in stages


def test_each_view_may_have_a_schedule_of_its_own():
    plan = Plan(study({"schedule": {"epochs": 7}, "schedules": {"motion": {"epochs": 9}}, "cycles": 1}))
    assert plan.stages["demo.m.c1.rgb.s0"].config.schedule.epochs == 7
    assert plan.stages["demo.m.c1.motion.s0"].config.schedule.epochs == 9


def test_cycles_change_the_graph_and_topk_does_not():
    specs = {"one": {"cycles": 1}, "two": {}, "k": {"topk": 1}}
    plans = {name: Plan(study(fields)).stages for name, fields in specs.items()}
    assert set(plans["one"]) < set(plans["two"]) == set(plans["k"])
    for name in plans["one"]:  # what the cycles have in common is the same, so that nothing runs again
        assert plans["one"][name].content == plans["two"][name].content
    changed = {name for name in plans["two"] if plans["two"][name].content != plans["k"][name].content}
    assert changed == {name for name, stage in plans["two"].items() if stage.kind == "coclr"}


FLOW = {"kind": "flow"}


@pytest.mark.parametrize(
    "coclr, starts, changes, path, words",
    [
        ({"init": {"rgb": "a", "flwo": "b"}}, {}, {}, ("init", "flwo"), "no view 'flwo'"),
        ({"init": {"rgb": "a", "motion": "a"}}, {}, {}, ("init", "motion"), "model 'a' encodes view 'rgb'"),
        ({}, {"a": {"method": "infonce", "encoder": {"kind": "s3d"}}}, {}, ("init", "rgb"), "'a' has encoder s3d"),
        ({}, {"a": {"method": "infonce", "dim": 16}}, {}, ("init", "rgb"), "dim is 128, that of model 'a' is 16"),
        ({"topk": 99, "queue": 64}, {}, {}, ("topk",), "99 positives cannot be mined from a queue of 64"),
        ({"queue": 16}, {}, {}, ("queue",), "queue has 16 keys, fewer than a batch of 32"),
        ({"schedules": {"rgb": {"batch": 4096}}}, {}, {}, ("queue",), "fewer than a batch of 4096"),
        ({"schedules": {"mtion": {}}}, {}, {}, ("schedules", "mtion"), "Did you mean 'motion'?"),
        ({"schedules": {"motion": {"batch": 2}}}, {}, {}, ("schedules", "motion"), "a batch of 4 at least"),
        (
            {"init": {"flow": "a", "slow": "b"}},
            {"a": {"method": "infonce", "view": "flow"}, "b": {"method": "infonce", "view": "slow"}},
            {"views": {"flow": FLOW, "slow": {**FLOW, "bound": 5.0}}},
            ("init",),
            "agree in algorithm, bound and storage",
        ),
    ],
)
def test_what_cannot_work_is_a_problem_at_its_place(coclr, starts, changes, path, words):
    (found,) = problems(coclr, {**STARTS, **starts}, **changes)
    assert found[0] == path and words in found[1]


def test_pretrained_weights_would_be_overwritten():
    s3d = {"kind": "s3d"}
    starts = {"a": {"method": "infonce", "encoder": s3d}, "b": {"method": "infonce", "view": "twin", "encoder": s3d}}
    views = {"rgb": {"kind": "rgb"}, "twin": {"kind": "rgb"}}
    coclr = {"init": {"rgb": "a", "twin": "b"}, "encoder": {**s3d, "weights": "KINETICS400_V1"}}
    (found,) = problems(coclr, starts, views=views)
    assert found[0] == ("encoder",) and "name the encoder without weights" in found[1]


def test_views_of_the_same_flow_may_train_each_other():
    starts = {"a": {"method": "infonce", "view": "flow"}, "b": {"method": "infonce", "view": "as_picture"}}
    views = {"flow": FLOW, "as_picture": {**FLOW, "faithful": True}}
    assert problems({"init": {"flow": "a", "as_picture": "b"}}, starts, views=views) == []


@pytest.mark.parametrize("init", [{"rgb": "a"}, {}, {"rgb": "a", "motion": "b", "flow": "c"}])
def test_it_says_that_it_needs_two_views(init):
    with pytest.raises(ValidationError, match="coclr trains two views.*For one view there is method infonce"):
        study({"init": init})


def test_what_works_is_no_problem():
    assert problems({}) == [] and problems({"topk": 0, "own_positive": {"kind": "keep"}, "fill": "train"}) == []
