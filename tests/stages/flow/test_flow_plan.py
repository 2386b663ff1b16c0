"""What flow views add to a plan."""

from __future__ import annotations

import json

from engine.compile.plan import Plan
from stages.study import Study

FLOW = {"kind": "flow"}


def stages(views: dict, models: dict, evaluate: list | None = None) -> dict:
    study = Study.model_validate_json(
        json.dumps(
            {
                "spec": 1,
                "name": "demo",
                "data": {"kind": "synthetic_actions"},
                "encoder": {"kind": "narrow", "width": 8},
                "clip": {"frames": 4, "size": 32},
                "views": views,
                "models": models,
                "evaluate": evaluate or [],
            }
        )
    )
    return {s.name.removeprefix("demo."): s for s in Plan(study).stages.values()}


def trained(view: str) -> dict:
    return {"method": "infonce", "view": view, "queue": 64}


def test_a_flow_model_reads_clips_and_flow_and_so_do_its_features():
    found = stages({"flow": FLOW}, {"m": trained("flow")}, [{"protocol": "linear_probe", "models": ["m"]}])
    assert found["flow"].inputs == {"clips": found["clips"].output}
    for name in ("m.s0", "features.m"):
        assert found[name].inputs["flow"] == found["flow"].output
    assert "flow" not in found["linear_probe.m"].inputs


def test_without_a_flow_model_no_flow_is_computed():
    found = stages({"rgb": {"kind": "rgb"}, "flow": FLOW}, {"m": trained("rgb")})
    assert "flow" not in found and "flow" not in found["m.s0"].inputs


def test_views_that_look_differently_at_the_same_flow_share_it():
    found = stages({"flow": FLOW, "official": {**FLOW, "faithful": True}}, {"a": trained("flow"), "b": trained("official")})
    assert [name for name in found if name.startswith("flow")] == ["flow"]
    assert found["a.s0"].config.view.channels == 2 and found["b.s0"].config.view.channels == 3


def test_other_flow_has_a_stage_of_its_own():
    views = {"flow": FLOW, "opencv": {**FLOW, "algorithm": {"kind": "dual_tvl1"}}}
    found = stages(views, {"a": trained("flow"), "b": trained("opencv")})
    assert found["a.s0"].inputs["flow"] == found["flow"].output
    assert found["b.s0"].inputs["flow"] == found["flow-dual_tvl1"].output


def test_any_number_of_flows_and_each_is_found_again():
    views = {f"b{bound}": {**FLOW, "bound": float(bound)} for bound in (20, 10, 5)}
    views["opencv"] = {**FLOW, "algorithm": {"kind": "dual_tvl1"}}
    found = stages(views, {f"{name}-{i}": trained(name) for i in (1, 2) for name in views})
    assert sorted(name for name in found if name.startswith("flow")) == ["flow", "flow-dual_tvl1", "flow-tvl1", "flow-tvl1-2"]


def test_files_of_extracted_flow_are_looked_at_in_every_run():
    precomputed = {"kind": "precomputed", "root": "mine", "layout": "npy"}
    found = stages({"flow": {**FLOW, "algorithm": precomputed}}, {"m": trained("flow")})
    assert found["flow"].always_changed
    assert not stages({"flow": FLOW}, {"m": trained("flow")})["flow"].always_changed


def test_a_probe_with_augmentation_reads_flow_itself():
    evaluation = {"protocol": "linear_probe", "mode": "sgd", "models": ["m"]}
    found = stages({"flow": FLOW}, {"m": trained("flow")}, [evaluation])
    assert found["linear_probe.m"].inputs["flow"] == found["flow"].output
