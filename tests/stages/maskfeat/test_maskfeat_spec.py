"""MaskFeat in a spec: the public code's defaults, what is wrong with it, and which stages it becomes."""

from __future__ import annotations

import json

import pytest

from engine.compile.plan import Plan
from engine.spec.wiring import wiring
from stages.study import Study

BASE = {
    "spec": 1,
    "name": "demo",
    "data": {"kind": "synthetic_actions", "train": 100, "test": 50},
    "encoder": {"kind": "mvit_small"},
    "clip": {"frames": 8, "size": 64},
    "views": {"rgb": {"kind": "rgb"}, "flow": {"kind": "flow"}, "motion": {"kind": "difference"}},
    "seeds": [0, 7],
    "evaluate": [{"protocol": "linear_probe", "models": ["hog"]}],
}
SMALL = {"mask": {"kind": "cube", "cell": 16}}


def study(hog: dict, others: dict | None = None, **fields) -> Study:
    models = {"hog": {"method": "maskfeat", **hog}, **(others or {})}
    return Study.model_validate_json(json.dumps({**BASE, "models": models, **fields}))


def stages(*arguments, **fields) -> dict:
    return {s.name.removeprefix("demo."): s for s in Plan(study(*arguments, **fields)).stages.values()}


def test_the_defaults_are_the_public_codes():
    model = study({}).models["hog"]
    schedule = model.schedule
    assert (schedule.epochs, schedule.batch, schedule.optimizer, schedule.lr) == (300, 32, "adamw", 1e-4)
    assert (schedule.weight_decay, schedule.decay_vectors, schedule.gradient_clip) == (0.05, False, 0.02)
    assert (schedule.decay, schedule.warmup_epochs, schedule.final_share) == ("cosine", 10, 0.01)
    assert (model.target.kind, model.target.bins, model.target.cell, model.target.frames) == ("hog", 9, 8, "centre")
    assert (model.mask.kind, model.mask.ratio, model.mask.cell, model.mask.sampler) == ("cube", 0.4, 32, "faithful")
    assert model.area == (0.5, 1.0)


def test_a_stage_a_seed_and_its_inputs():
    teacher = {"teacher": {"method": "random"}}
    found = stages({**SMALL, "target": {"kind": "features", "model": "teacher"}, "init": "teacher"}, teacher)
    for seed in (0, 7):
        made = found[f"hog.s{seed}"]
        assert (made.kind, made.seed) == ("maskfeat", seed)
        assert {role: source.stage for role, source in made.inputs.items()} == {
            "clips": "demo.clips",
            "init": f"demo.teacher.s{seed}",
            "teacher": f"demo.teacher.s{seed}",
        }
    assert set(stages(SMALL)["hog.s0"].inputs) == {"clips"}


@pytest.mark.parametrize(
    "hog, path, words",
    [
        ({"mask": {"kind": "cube", "cell": 32}}, ("mask",), "leave the faithful sampler no blocks"),
        ({"mask": {"kind": "cube", "cell": 24}}, ("mask",), "do not tile clips of 64"),
        ({**SMALL, "target": {"kind": "hog", "cell": 6}}, ("target",), "no whole HOG cells of 6"),
        ({"target": {"kind": "hog", "gaussian_window": 48}, **SMALL}, ("target", "gaussian_window"), "does not tile"),
        ({**SMALL, "encoder": {"kind": "mvit_v2_s"}}, ("encoder",), "no class token"),
        ({**SMALL, "schedule": {"epochs": 10}}, ("schedule",), "set warmup_epochs below"),
        ({**SMALL, "view": "flow"}, ("view",), "'flow' has 2 channels"),
        ({**SMALL, "area": [0.9, 0.5]}, ("area",), "write the smaller share first"),
        ({**SMALL, "encoder": {"kind": "narrow"}}, ("encoder",), "maskfeat trains transformers, not narrow"),
        ({**SMALL, "view": "fow"}, ("view",), "no view 'fow'"),
        ({**SMALL, "target": {"kind": "features", "model": "mover"}}, ("target", "model"), "a teacher sees the same"),
        ({**SMALL, "init": "mover"}, ("init",), "start from a model of the same view"),
        ({**SMALL, "init": "wide"}, ("init",), "weights fit the same network only"),
    ],
)
def test_what_cannot_work_is_a_problem_of_the_spec(hog, path, words):
    others = {
        "mover": {"method": "random", "view": "motion"},
        "wide": {"method": "random", "encoder": {"kind": "mvit_small", "width": 64}},
    }
    (found,) = wiring(study(hog, others))
    assert found.path == ("models", "hog", *path) and words in found.message


def test_an_unknown_teacher_is_named():
    (found,) = wiring(study({**SMALL, "target": {"kind": "features", "model": "nobody"}}))
    assert found.path == ("models", "hog", "target", "model") and "nobody" in found.message
