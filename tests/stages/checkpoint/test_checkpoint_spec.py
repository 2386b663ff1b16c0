"""Checkpoints as models of a spec: what is wrong with them, and which stages they become."""

from __future__ import annotations

import json

import pytest
from pydantic import ValidationError

from engine.compile.plan import Plan, identity
from engine.errors import UserError
from engine.run.local import Local
from engine.spec.component import Problem
from stages.checkpoint.spec import PUBLIC_S3D
from stages.nn.spec import Torchvision
from stages.study import Study

S3D = {"kind": "s3d", "bn_eps": 1e-5}


def study(models: dict, **changes) -> Study:
    content = {
        "spec": 1,
        "name": "demo",
        "data": {"kind": "synthetic_actions"},
        "encoder": {"kind": "narrow", "width": 8},
        "clip": {"frames": 8, "size": 48},
        "views": {
            "rgb": {"kind": "rgb"},
            "motion": {"kind": "difference"},
            "flow": {"kind": "flow"},
            "pictures": {"kind": "flow", "faithful": True},
        },
        "models": models,
    }
    return Study.model_validate_json(json.dumps(content | changes))


def checkpoint(**fields) -> dict:
    return {"method": "checkpoint", "file": "theirs.pth.tar", "format": "coclr"} | fields


def problems(models: dict, **changes) -> list[Problem]:
    found = study(models, **changes)
    return found.models["m"].problems(found)


@pytest.mark.parametrize(
    "model, changes, path, words",
    [
        ({"view": "flwo"}, {}, "view", "no view 'flwo'"),
        ({"view": "flow"}, {}, "view", "{kind: flow, faithful: true}"),
        ({"view": "motion"}, {}, "view", "of kind 'difference'"),
        ({}, {"clip": {"frames": 4}}, "view", "s3d needs clips of 5 frames"),
        ({"encoder": {"kind": "s3d"}}, {}, "encoder", "drop `encoder`"),
        ({"encoder": {"kind": "s3d", "weights": "KINETICS400_V1"}, "format": "plain"}, {}, "encoder", "drop `weights`"),
        ({"file": "/data/theirs.pth"}, {}, "file", "a place on one machine"),
        ({"file": "../theirs.pth"}, {}, "file", "a place on one machine"),
    ],
)
def test_what_cannot_work_is_a_problem_of_the_spec(model, changes, path, words):
    (found,) = problems({"m": checkpoint(**model)}, **changes)
    assert found.path == (path,) and words in found.message


@pytest.mark.parametrize(
    "model",
    [
        {},
        {"view": "pictures"},
        {"encoder": S3D},
        {"view": "flow", "format": "plain"},
        {"file": "coclr/theirs.pth.tar", "sha256": "0" * 64},
    ],
)
def test_what_works_is_no_problem(model):
    assert problems({"m": checkpoint(**model)}) == []


@pytest.mark.parametrize("model", [{"format": "tensorflow"}, {"sha256": "abc"}, {"file": ""}])
def test_values_that_are_none(model):
    with pytest.raises(ValidationError):
        study({"m": checkpoint(**model)})


def test_each_seed_is_a_stage_without_inputs():
    plan = Plan(study({"m": checkpoint(view="pictures")}, seeds=[0, 7]))
    first, second = plan.stages["demo.m.s0"], plan.stages["demo.m.s7"]
    assert first.inputs == second.inputs == {} and first.config == second.config
    assert first.config.encoder == PUBLIC_S3D and first.config.view.channels == 3
    assert (first.seed, second.seed, first.kind) == (0, 7, "checkpoint")
    assert "demo.flow" not in plan.stages  # nothing looks at videos yet


def test_a_file_without_a_digest_is_read_anew_in_every_run():
    plan = Plan(study({"m": checkpoint(), "pinned": checkpoint(sha256="0" * 64)}))
    assert plan.stages["demo.m.s0"].always_changed and not plan.stages["demo.pinned.s0"].always_changed


def test_a_plain_file_is_read_into_the_encoder_of_the_study_bare():
    plan = Plan(study({"m": checkpoint(format="plain")}, encoder={"kind": "r3d_18", "weights": "KINETICS400_V1"}))
    assert plan.stages["demo.m.s0"].config.encoder == Torchvision(kind="r3d_18")


def test_a_training_that_starts_from_it_has_the_same_eps():
    start = {"method": "infonce", "init": "theirs"}
    (found,) = problems({"theirs": checkpoint(), "m": start | {"encoder": {"kind": "s3d"}}})
    assert found.path == ("init",) and "has encoder s3d with bn_eps 1e-05, this one s3d" in found.message
    assert problems({"theirs": checkpoint(), "m": start | {"encoder": S3D}}) == []


def test_stage_files_of_before_keep_their_identity():
    assert "bn_eps" not in identity(Torchvision(kind="s3d"))
    assert identity(PUBLIC_S3D)["bn_eps"] == 1e-5


def test_the_forecast_looks_for_the_file(tmp_path):
    config = Plan(study({"m": checkpoint()})).stages["demo.m.s0"].config
    local = Local(weights=str(tmp_path))
    with pytest.raises(UserError, match="Put theirs.pth.tar into"):
        config.forecast({}, local, {})
    (tmp_path / "theirs.pth.tar").write_bytes(bytes(2_000_000))
    assert config.forecast({}, local, {}) == "reads theirs.pth.tar (2 MB)"
