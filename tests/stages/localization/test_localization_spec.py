"""Localisation in a spec: its defaults, what is wrong with it, and which stages it becomes."""

from __future__ import annotations

import json

import pytest
from pydantic import ValidationError

from engine.compile.plan import Plan
from engine.spec.wiring import wiring
from stages.study import Study

BASE = {
    "spec": 1,
    "name": "demo",
    "data": {"kind": "synthetic_untrimmed", "train": 10, "test": 10},
    "encoder": {"kind": "narrow", "width": 8},
    "clip": {"frames": 8, "size": 32},
    "views": {"rgb": {"kind": "rgb"}, "flow": {"kind": "flow"}},
    "seeds": [0, 7],
    "models": {
        "random": {"method": "random"},
        "moving": {"method": "random", "view": "flow"},
        "tsp": {"method": "published_features", "root": "tsp", "format": "npy"},
    },
}


def study(models=("random",), more=(), data=None, datasets=None, on=None, tables=None, **fields) -> Study:
    """on: data set that localisation is measured on, another than the study's own."""
    evaluation = {"protocol": "localization", "models": list(models), "data": on, **fields}
    changes = {"data": data or BASE["data"], "datasets": datasets or {}, "tables": tables or {}}
    return Study.model_validate_json(json.dumps({**BASE, **changes, "evaluate": [evaluation, *more]}))


def stages(*arguments, **fields) -> dict:
    return {s.name.removeprefix("demo."): s for s in Plan(study(*arguments, **fields)).stages.values()}


def messages(**fields) -> list[str]:
    return [problem.message for problem in wiring(study(**fields))]


def test_the_defaults_are_the_papers():
    protocol = study().evaluate[0]
    one, schedule = protocol.snippets, protocol.schedule
    assert (one.count, one.frames, one.stride, one.size) == (100, 8, 8, 224)
    assert (schedule.optimizer, schedule.epochs, schedule.batch, schedule.lr) == ("adam", 10, 16, 4e-3)
    assert schedule.weight_decay == 1e-4 and schedule.milestones == (0.5,) and schedule.decay == "step"
    inference = protocol.head.inference
    assert (inference.sigma, inference.top, inference.classes) == (0.84, 100, 2)
    assert protocol.thresholds.values() == pytest.approx([0.5 + 0.05 * n for n in range(10)])
    assert protocol.thresholds.names()[::5] == ("map_50", "map_75")
    assert protocol.select == "last" and protocol.class_scores == "own"


def test_features_for_all_seeds_a_training_each_and_one_test_of_all():
    found = stages()
    features, tested = found["snippets.random"], found["localization.random"]
    annotations = found["untrimmed"].output
    assert features.kind == "snippets" and features.config.seeds == (0, 7)
    assert features.inputs == {
        "clips": found["clips"].output,
        "annotations": annotations,
        "models": (found["random.s0"].output, found["random.s7"].output),
    }
    heads = [found["localization.random.s0"], found["localization.random.s7"]]
    for head, seed in zip(heads, (0, 7)):
        assert head.kind == "localization" and head.seed == seed
        encoder = found[f"random.s{seed}"].output
        assert head.inputs == {"annotations": annotations, "snippets": features.output, "encoder": encoder}
    assert heads[0].config == heads[1].config
    assert tested.kind == "detect" and tested.seed == 0 and tested.config.seeds == (0, 7)
    assert tested.inputs == {
        "annotations": annotations, "snippets": features.output, "heads": tuple(head.output for head in heads),
    }  # fmt: skip


def test_protocols_that_look_alike_share_features():
    again = {"protocol": "localization", "name": "again", "models": ["random"], "schedule": {"lr": 0.001}}
    other = {"protocol": "localization", "name": "short", "models": ["random"], "snippets": {"count": 25}}
    found = stages(more=[again, other])
    assert [n for n in found if n.startswith("snippets")] == ["snippets.random", "snippets-short.random"]
    assert found["again.random.s0"].inputs["snippets"] == found["snippets.random"].output
    assert found["short.random.s0"].inputs["snippets"] == found["snippets-short.random"].output


def test_flow_is_read_where_the_view_is_flow():
    found = stages(["moving", "random"])
    assert found["snippets.moving"].inputs["flow"] == found["flow"].output
    assert "flow" not in found["snippets.random"].inputs


def test_published_features_take_the_place_of_an_encoders():
    found = stages(["tsp"])
    assert [n for n in found if n.startswith("snippets") or n == "flow"] == []
    features = found["tsp"]
    assert (
        features.kind == "published_features" and features.always_changed and features.config.seeds == (0, 7)
    )
    assert features.inputs == {"annotations": found["untrimmed"].output}
    assert found["localization.tsp.s7"].inputs == {
        "annotations": found["untrimmed"].output,
        "snippets": features.output,
    }
    assert not messages(models=["tsp"])


@pytest.mark.parametrize(
    ("times", "message"),
    [
        ({"stride": 8}, "needs fps"),
        ({"stride": 8, "fps": 30, "seconds": 0.5}, "drop one of the two"),
        ({"fps": 30}, "fps says nothing without stride"),
        ({"window": 16}, "window says nothing without stride"),
        ({"stride": 8, "fps": 30, "window": 16}, None),
    ],
)
def test_times_of_published_rows(times, message):
    content = {**BASE, "models": {"tsp": {**BASE["models"]["tsp"], **times}}}
    found = [problem.message for problem in wiring(Study.model_validate_json(json.dumps(content)))]
    assert (not found and message is None) or message in found[0]


def test_scores_of_a_file_are_looked_at_in_every_run():
    found = stages(external={"root": "cuhk", "file": "cuhk_val.json"}, class_scores="external")
    scores = found["class_scores-localization"]
    assert scores.always_changed and scores.inputs == {"annotations": found["untrimmed"].output}
    assert found["localization.random"].inputs["class_scores"] == scores.output
    assert "class_scores" not in found["localization.random.s0"].inputs


def test_another_data_set_than_the_studys_own():
    found = stages(data={"kind": "synthetic_actions"}, datasets={"long": BASE["data"]}, on="long")
    for name in ("snippets.random", "localization.random.s0", "localization.random"):
        assert found[f"long.{name}"].inputs["annotations"] == found["long.untrimmed"].output
    assert found["long.snippets.random"].inputs["clips"] == found["long.clips"].output


def test_what_is_measured_on_videos_without_annotations_is_a_problem():
    assert "needs untrimmed videos with annotated segments" in messages(data={"kind": "synthetic_actions"})[0]


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"class_scores": "external"}, "name it in `external`"),
        ({"thresholds": {"first": 0.9, "last": 0.3}}, "more than last"),
        (
            {"tables": {"t": {"rows": ["random"], "columns": ["localization.map_30"]}}},
            "asks for map_30, but the thresholds",
        ),
        (
            {"tables": {"t": {"rows": ["random"], "columns": ["localization.map_external"]}}},
            "asks for map_external",
        ),
        ({"more": [{"protocol": "retrieval", "models": ["tsp"]}]}, "measure published features by localization"),
    ],
)
def test_what_does_not_fit_together(fields, message):
    found = messages(**fields)
    assert len(found) == 1 and message in found[0]


def test_tables_of_thumos_thresholds():
    columns = [f"localization.map_{n}" for n in (30, 40, 50, 60, 70)] + [
        "localization.map",
        "localization.auc",
    ]
    thresholds = {"first": 0.3, "last": 0.7, "count": 5}
    assert not messages(thresholds=thresholds, tables={"t": {"rows": ["random"], "columns": columns}})


@pytest.mark.parametrize(
    "fields",
    [
        {"snippets": {"count": 0}},
        {"thresholds": {"first": 0.0}},
        {"schedule": {"milestones": [1.0]}},
        {"class_scores": "oracle"},
        {"held_out": {"share": 1.0}},
    ],
)
def test_values_that_make_no_sense_are_refused(fields):
    with pytest.raises(ValidationError):
        study(**fields)


def test_published_features_of_one_file_need_its_name():
    models = {"h": {"method": "published_features", "root": "tsp", "format": "hdf5"}}
    found = Study.model_validate_json(
        json.dumps({**BASE, "models": models, "evaluate": [{"protocol": "localization", "models": ["h"]}]})
    )
    assert [problem.path for problem in wiring(found)] == [("models", "h", "file")]
