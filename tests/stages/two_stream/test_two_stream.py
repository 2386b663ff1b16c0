"""Two streams: what they plan, what is wrong with them in a spec, and means worked out by hand."""

from __future__ import annotations

import json

import numpy as np
import pytest
from safetensors.numpy import save_file

from engine.compile.plan import Plan
from engine.errors import UserError
from engine.spec.wiring import wiring
from stages.features.stored import write_features
from stages.retrieval.spec import Config as RetrievalConfig
from stages.retrieval.stage import run as retrieve
from stages.study import Study
from stages.two_stream.spec import Config
from stages.two_stream.stage import mean_probabilities, run

MODELS = {
    "a": {"method": "random"},
    "b": {"method": "random", "view": "moving"},
    "both": {"method": "two_stream", "streams": ["a", "b"]},
}


def study(models=MODELS, evaluate=({"protocol": "linear_probe", "models": ["both"]},)) -> Study:
    return Study.model_validate_json(
        json.dumps(
            {
                "spec": 1,
                "name": "demo",
                "data": {"kind": "synthetic_actions"},
                "encoder": {"kind": "narrow", "width": 8},
                "clip": {"frames": 4, "size": 32},
                "views": {"rgb": {"kind": "rgb"}, "moving": {"kind": "difference"}},
                "seeds": [0, 1],
                "models": models,
                "evaluate": list(evaluate),
            }
        )
    )


def stages(*arguments, **keywords) -> dict:
    return {s.name.removeprefix("demo."): s for s in Plan(study(*arguments, **keywords)).stages.values()}


def test_a_probe_of_both_averages_the_probes_of_each():
    found = stages()
    assert not any(name.startswith("both") for name in found)  # nothing is trained
    fused = found["linear_probe.both"]
    assert fused.kind == "two_stream"
    assert [s.stage for s in fused.inputs["members"]] == ["demo.linear_probe.a", "demo.linear_probe.b"]


def test_members_rows_of_their_own_are_shared():
    alone = {"protocol": "linear_probe", "models": ["a", "both", "b"]}
    assert sorted(stages(evaluate=[alone])) == sorted(stages())


def test_retrieval_of_both_reads_the_features_of_each():
    found = stages(evaluate=[{"protocol": "retrieval", "models": ["a", "both"]}])
    both = found["retrieval.both"]
    assert both.kind == "retrieval"
    assert [s.stage for s in both.inputs["features"]] == ["demo.features.a", "demo.features.b"]
    assert [s.stage for s in found["retrieval.a"].inputs["features"]] == ["demo.features.a"]


@pytest.mark.parametrize(
    "models, path, message",
    [
        ({"both": {"method": "two_stream", "streams": ["a", "c"]}}, ("models", "both", "streams", 1), "no model 'c'"),
        ({"both": {"method": "two_stream", "streams": ["a", "a"]}}, ("models", "both", "streams", 1), "stands here twice"),
        ({"more": {"method": "two_stream", "streams": ["a", "both"]}}, ("models", "more", "streams", 1), "combines other models"),
        ({"c": {"method": "infonce", "init": "both"}}, ("models", "c", "init"), "combines other models"),
    ],
)
def test_mistakes_have_a_place(models, path, message):
    problems = wiring(study({**MODELS, **models}))
    assert [p.path for p in problems] == [path] and message in problems[0].message


def write_probabilities(folder, **seeds):
    folder.mkdir()
    save_file({seed: np.array(values, np.float32) for seed, values in seeds.items()}, folder / "probabilities.safetensors")
    return folder


def test_the_mean_by_hand(tmp_path, make_clips, make_context):
    make_clips([(0, "train"), (1, "train"), (0, "test"), (1, "test"), (1, "test")])
    rgb = write_probabilities(tmp_path / "rgb", s0=[[0.6, 0.4], [0.7, 0.3], [0.2, 0.8]], s1=[[0, 1], [1, 0], [1, 0]])
    flow = write_probabilities(tmp_path / "flow", s0=[[0.3, 0.7], [0.2, 0.8], [0.9, 0.1]], s1=[[1, 0], [0, 1], [0, 1]])
    context = make_context(members=(rgb, flow))
    metrics = run(Config(), context)
    # seed 0: (.45, .55), (.45, .55), (.55, .45): class 1, 1, 0 where 0, 1, 1 is right
    assert metrics["seeds"]["0"] == {"top1": pytest.approx(1 / 3), "mean_class": pytest.approx(0.25)}
    assert metrics["test_videos"] == 3
    assert np.allclose(mean_probabilities((rgb, flow))[0][0], [0.45, 0.55])
    assert (context.out / "probabilities.safetensors").exists()


def test_members_that_do_not_fit(tmp_path):
    one = write_probabilities(tmp_path / "one", s0=[[1, 0]])
    other = write_probabilities(tmp_path / "other", s0=[[1, 0], [0, 1]])
    with pytest.raises(UserError, match="other seeds, videos or classes"):
        mean_probabilities((one, other))


def test_cosines_are_averaged(tmp_path, make_clips, make_context, monkeypatch):
    """One stream prefers the first training video by 0.8 to 0.6, the other the second by 0.96 to 0.28: together the second."""
    make_clips([(0, "train"), (1, "train"), (1, "test")])
    monkeypatch.setattr("stages.retrieval.stage.neighbours_picture", lambda *_: np.zeros((2, 2, 3), np.uint8))
    near = np.array([[1, 0], [0, 1], [0.8, 0.6]], np.float32)
    far = np.array([[5, 0, 0], [0, 5, 0], [0.28, 0.96, 0]], np.float32)
    folders = []
    for name, features in (("near", near), ("far", far)):
        (tmp_path / name).mkdir()
        write_features(tmp_path / name, {0: features})
        folders.append(tmp_path / name)
    config = RetrievalConfig(centre="none", pictured=1)
    recalls = {}
    for name, members in (("near", folders[:1]), ("both", folders)):
        context = make_context(out=name + "_out", features=tuple(members))
        recalls[name] = retrieve(config, context)["seeds"]["0"]["recall_at_1"]
        if name == "both":
            import pyarrow.parquet as pq

            table = pq.read_table(context.out / "neighbours.parquet").to_pylist()
            assert [row["similarity"] for row in table] == pytest.approx([(0.6 + 0.96) / 2, (0.8 + 0.28) / 2], abs=1e-5)
    assert recalls == {"near": 0.0, "both": 1.0}
