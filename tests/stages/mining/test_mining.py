"""The mining protocol: figures of half-cycles, side by side in a table."""

from __future__ import annotations

import json

import pytest

from engine.compile.plan import Plan
from engine.errors import UserError
from engine.run.checkpoint import Checkpoints
from engine.run.context import Context
from engine.run.local import Local
from engine.track.record import Record
from stages.mining.spec import Config
from stages.mining.stage import run
from stages.study import Study


def study(*models: str, seeds: tuple[int, ...] = (0, 3)) -> Study:
    content = {
        "spec": 1,
        "name": "demo",
        "seeds": seeds,
        "data": {"kind": "synthetic_actions"},
        "encoder": {"kind": "narrow", "width": 8},
        "views": {"rgb": {"kind": "rgb"}, "motion": {"kind": "difference"}},
        "models": {
            "a": {"method": "infonce"},
            "b": {"method": "infonce", "view": "motion"},
            "m": {"method": "coclr", "init": {"rgb": "a", "motion": "b"}},
        },
        "evaluate": [{"protocol": "mining", "models": models}],
    }
    return Study.model_validate_json(json.dumps(content))


def gather(tmp_path, **by_seed: dict[str, float]):
    files = []
    for name, values in by_seed.items():
        files.append(tmp_path / f"{name}.metrics.json")
        files[-1].write_text(json.dumps(values))
    context = Context("demo.mining.m", 0, {"metrics": tuple(files)}, tmp_path, Local(), Record(None), Checkpoints(None))
    return run(Config(seeds=tuple(int(name[1:]) for name in by_seed)), context)


def test_a_row_reads_the_half_cycle_that_made_it():
    stages = Plan(study("m.c1.rgb", "m.rgb")).stages
    for ref, half in (("m.c1.rgb", "c1"), ("m.rgb", "c2")):
        (metrics,) = stages[f"demo.mining.{ref}"].inputs.values()
        assert [source.path for source in metrics] == [f"results/demo/m.{half}.rgb.s{s}.metrics.json" for s in (0, 3)]
        assert [source.stage for source in metrics] == [f"demo.m.{half}.rgb.s{s}" for s in (0, 3)]


def test_only_models_that_mine():
    found = study("m.rgb", "a")
    (problem,) = found.evaluate[0].problems(found)
    assert problem.path == ("models", 1) and "'a' mines no positives" in problem.message


def test_values_by_seed_and_what_chance_gives(tmp_path):
    first = {"mining_precision": 0.5, "mining_overlap": 0.25, "mining_chance": 0.125, "loss": 3.0}
    second = {"mining_precision": 0.75, "mining_overlap": 0.5, "mining_chance": 0.375}
    assert gather(tmp_path, s0=first, s3=second) == {
        "seeds": {"0": {"precision": 0.5, "overlap": 0.25}, "3": {"precision": 0.75, "overlap": 0.5}},
        "chance": {"precision": 0.25},
    }


def test_a_half_cycle_that_mined_nothing(tmp_path):
    with pytest.raises(UserError, match=r"s0\.metrics\.json: nothing was mined twice .* topk above 0"):
        gather(tmp_path, s0={"epoch_loss": 1.0})
