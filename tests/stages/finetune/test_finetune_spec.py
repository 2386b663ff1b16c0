"""Finetuning in a spec: its defaults, what is wrong with it, and which stages it becomes."""

from __future__ import annotations

import json
import re

import pytest
from pydantic import ValidationError

from engine.compile.plan import Plan
from engine.run.local import Local
from engine.spec.explain import SpecError
from engine.spec.load import load_study
from engine.spec.wiring import wiring
from stages.study import Study

MODELS = {
    "random": {"method": "random"},
    "nce": {"method": "infonce"},
    "moving": {"method": "infonce", "view": "flow"},
    "both": {"method": "two_stream", "streams": ["nce", "moving"]},
    "ready": {"method": "random", "encoder": {"kind": "s3d", "weights": "KINETICS400_V1"}},
    "tokens": {"method": "random", "encoder": {"kind": "mvit_small"}},
    "pretrained": {"method": "infonce", "encoder": {"kind": "mvit_small"}},
}
BASE = {
    "spec": 1,
    "name": "demo",
    "data": {"kind": "synthetic_actions", "train": 100, "test": 50},
    "encoder": {"kind": "narrow", "width": 8},
    "clip": {"frames": 8, "size": 32},
    "views": {"rgb": {"kind": "rgb"}, "flow": {"kind": "flow"}},
    "seeds": [0, 7],
    "models": MODELS,
}


def study(models=("nce",), tables=None, **fields) -> Study:
    evaluation = {"protocol": "finetune", "models": list(models), **fields}
    return Study.model_validate_json(json.dumps({**BASE, "evaluate": [evaluation], "tables": tables or {}}))


def stages(*arguments, **fields) -> dict:
    return {s.name.removeprefix("demo."): s for s in Plan(study(*arguments, **fields)).stages.values()}


def test_the_defaults_are_coclrs():
    protocol = study().evaluate[0]
    schedule = protocol.schedule
    assert (schedule.epochs, schedule.batch, schedule.optimizer, schedule.lr) == (500, 32, "adam", 1e-3)
    assert schedule.weight_decay == 1e-3 and schedule.decay == "step" and schedule.warmup_epochs == 0
    assert [round(m * schedule.epochs) for m in schedule.milestones] == [400, 450]
    assert (protocol.dropout, protocol.select, protocol.windows) == (0.9, "last", "half_overlap")
    assert (protocol.crops, protocol.crop_share) == ("ten", 0.875)


def test_a_training_for_each_seed_and_one_test_of_all():
    found = stages()
    trained = [found["finetune.nce.s0"], found["finetune.nce.s7"]]
    assert [(s.kind, s.seed) for s in trained] == [("finetune", 0), ("finetune", 7)]
    assert [s.inputs["init"].stage for s in trained] == ["demo.nce.s0", "demo.nce.s7"]
    tested = found["finetune.nce"]
    assert tested.kind == "classify" and tested.seed == 0
    assert tested.inputs["models"] == tuple(s.output for s in trained)
    assert tested.config.seeds == (0, 7)
    assert sum(s.kind in ("finetune", "classify") for s in found.values()) == 3


def test_flow_is_read_where_the_view_is_flow():
    found = stages(["nce", "moving"])
    for name in ("finetune.moving.s0", "finetune.moving"):
        assert found[name].inputs["flow"] == found["flow"].output
        assert "flow" not in found[name.replace("moving", "nce")].inputs
    assert found["finetune.moving.s0"].config.view.kind == "flow"


@pytest.mark.parametrize("models", [["both"], ["nce", "moving", "both"], ["both", "moving", "nce"]])
def test_two_streams_average_the_tests_of_their_members(models):
    """Which are trained once, whether they have rows of their own or not."""
    found = stages(models)
    members = [s.stage for s in found["finetune.both"].inputs["members"]]
    assert members == ["demo.finetune.nce", "demo.finetune.moving"]
    assert found["finetune.both"].kind == "two_stream"
    assert sum(s.kind == "finetune" for s in found.values()) == 4


@pytest.mark.parametrize(
    "model, fields, expected",
    [
        ("nce", {}, 1e-4),
        ("nce", {"schedule": {"lr": 0.02}}, 2e-3),
        ("nce", {"backbone_lr": 0.5}, 0.5),
        ("random", {}, 1e-3),
        ("random", {"backbone_lr": 1e-4}, 1e-4),
        ("ready", {}, 1e-4),
        ("pretrained", {}, 1e-4),
        ("pretrained", {"layer_decay": 0.75}, 1e-3),
        ("pretrained", {"layer_decay": 0.75, "backbone_lr": 1e-4}, 1e-4),
    ],
)
def test_an_encoder_that_was_never_trained_learns_as_fast_as_the_linear_layer(model, fields, expected):
    assert stages([model], **fields)[f"finetune.{model}.s0"].config.backbone_lr == pytest.approx(
        expected, rel=1e-12
    )


def test_stages_hold_the_settings_that_they_use_and_no_others():
    found = stages(crops="centre", windows=3, clip={"frames": 4, "size": 16})
    training, test = found["finetune.nce.s0"].config, found["finetune.nce"].config
    assert training.held_out is None
    assert training.clip == test.look.clip and test.look.clip.frames == 4
    assert (test.look.windows, test.crops, test.crop_share) == (3, "centre", 1.0)
    held = stages(select="held_out", held_out={"share": 0.3, "every": 5})["finetune.nce.s0"].config.held_out
    assert (held.share, held.every, held.windows) == (0.3, 5, 1)
    assert stages(crop_share=0.5)["finetune.nce.s0"].content == stages()["finetune.nce.s0"].content


@pytest.mark.parametrize(
    "fields, path, words",
    [
        ({"held_out": {"share": 0.3}}, ("held_out",), "no effect with select: last"),
        ({"crops": "centre", "crop_share": 0.5}, ("crop_share",), "no effect with crops: centre"),
        (
            {"select": "held_out", "held_out": {"every": 20}, "schedule": {"epochs": 10}},
            ("held_out", "every"),
            "20 is more than the 10 epochs",
        ),
        ({"models": ["ready"], "clip": {"frames": 2}}, ("clip",), "ready: s3d needs clips of 5 frames"),
        ({"layer_decay": 0.75}, ("layer_decay",), "layer_decay is for transformers"),
        ({"drop_path": 0.1}, ("drop_path",), "nce is narrow"),
        ({"augmentation": {"area": [0.9, 0.2]}}, ("augmentation", "area"), "write the smaller share first"),
        (
            {"models": ["moving"], "augmentation": {"colours": {"kind": "rand_augment"}}},
            ("augmentation",),
            "moving sees flow",
        ),
        ({"models": ["both"], "augmentation": {"erase_share": 0.2}}, ("augmentation",), "moving sees flow"),
    ],
)
def test_what_cannot_work_is_a_problem_of_the_spec(fields, path, words):
    (found,) = wiring(study(**fields))
    assert found.path == ("evaluate", 0, *path) and words in found.message


def test_what_transformers_need_stands_in_stage_files_only_where_it_is_asked_for():
    plain = json.loads(stages()["finetune.nce.s0"].text())["config"]
    new = {"augmentation", "mix", "label_smoothing", "layer_decay", "drop_path", "head_scale"}
    assert not new & set(plain)
    assert not {"gradient_clip", "decay_vectors", "final_share"} & set(plain["schedule"])
    asked = stages(["tokens"], layer_decay=0.75, mix={}, augmentation={"repeats": 2}, schedule={"gradient_clip": 5.0})
    config = json.loads(asked["finetune.tokens.s0"].text())["config"]
    assert config["layer_decay"] == 0.75 and config["schedule"]["gradient_clip"] == 5.0
    assert config["mix"] == {"mixup": 0.8, "cutmix": 1.0, "cutmix_share": 0.5}
    assert config["augmentation"]["repeats"] == 2


def test_two_streams_have_no_accuracy_of_clips():
    tables = {"t": {"rows": ["nce", "both"], "columns": ["finetune.top1", "finetune.clip_top1"]}}
    (found,) = wiring(study(["nce", "both"], tables))
    assert found.path == ("evaluate", 0, "models", 1)
    assert "no finetune.clip_top1, which table 't'" in found.message
    assert not wiring(study(["nce", "both"], {"t": {**tables["t"], "rows": ["nce"]}}))
    assert not wiring(study(["nce", "both"], {"t": {**tables["t"], "columns": ["finetune.top1"]}}))


@pytest.mark.parametrize(
    "fields",
    [
        {"dropout": 1.0},
        {"backbone_lr": 0},
        {"crops": "two"},
        {"crop_share": 1.1},
        {"select": "best"},
        {"select": "held_out", "held_out": {"share": 1.0}},
        {"select": "held_out", "held_out": {"every": 0}},
        {"schedule": {"milestones": [400, 450]}},
        {"windows": 0},
    ],
)
def test_values_that_make_no_sense_are_refused(fields):
    with pytest.raises(ValidationError):
        study(**fields)


def test_mistakes_in_a_file_have_a_place(tmp_path):
    path = tmp_path / "demo.yaml"
    text = json.dumps({**BASE, "evaluate": []})[: -len('"evaluate": []}')]
    path.write_text(
        text + '"evaluate": [\n  {"protocol": "finetune", "models": ["nce"],\n   "dropuot": 0.5}]}'
    )
    with pytest.raises(SpecError) as error:
        load_study(path)
    assert "demo.yaml:3:4" in str(error.value) and "Did you mean 'dropout'" in str(error.value)


def test_the_forecast_counts_the_steps(tmp_path):
    schedule = {"epochs": 10, "batch": 8}
    training = stages(schedule=schedule)["finetune.nce.s0"]
    assert training.config.forecast({}, Local(), {}).startswith("10 epochs in batches of 8")
    assert training.config.forecast({}, Local(), training.expected).startswith("120 steps")  # 100 // 8 = 12
    import pyarrow as pa
    import pyarrow.parquet as pq

    pq.write_table(pa.table({"split": ["train"] * 50 + ["test"] * 9}), tmp_path / "clips.parquet")
    assert training.config.forecast({"clips": tmp_path}, Local(), training.expected).startswith("60 steps")
    part = stages(schedule=schedule, select="held_out", held_out={"share": 0.5})["finetune.nce.s0"]
    assert part.config.forecast({"clips": tmp_path}, Local(), {}).startswith("30 steps")  # 25 // 8 = 3


def test_fields_of_its_clip_that_are_not_given_are_those_of_the_study():
    found = stages(clip={"stride": 2})["finetune.nce.s0"].config.clip
    assert (found.frames, found.stride, found.size) == (8, 2, 32)


def test_the_forecast_counts_the_batch_that_waits():
    """2,000 clips of 3 x 8 x 64 x 64: 1 GB as bytes and in fp32, 1.8 GB when mixed too."""

    def gigabytes(**fields) -> float:
        schedule = {"batch": 2000, "micro_batch": 1}
        training = stages(["tokens"], clip={"size": 64}, schedule=schedule, **fields)["finetune.tokens.s0"]
        return float(re.search(r"([\d.]+) GB", training.config.forecast({}, Local(), {}))[1])

    assert gigabytes(mix={}) - gigabytes() == pytest.approx(0.79, abs=0.1)
