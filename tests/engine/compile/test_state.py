"""Why a stage will run: every difference between two stage files, in words."""

from __future__ import annotations

import copy

from engine.compile.state import differences

OLD = {
    "config": {"schedule": {"lr": 0.1, "epochs": 3}, "queue": 64},
    "inputs": {"clips": "results/s/clips"},
    "seed": 0,
    "code": {"runtime": 1, "digest": "x", "parts": {"stages.nn.losses": {"infonce": "1", "<module>": "2"}, "stages.nn.queue": {"Queue": "3"}}},
}


def test_no_difference() -> None:
    assert differences(OLD, copy.deepcopy(OLD)) == []


def test_keys_inputs_seed_and_code() -> None:
    new = copy.deepcopy(OLD)
    new["config"]["schedule"]["lr"] = 0.2
    del new["config"]["queue"]
    new["config"]["dim"] = 8
    new["inputs"]["init"] = "results/s/a.s0"
    new["seed"] = 1
    new["code"]["runtime"] = 2
    new["code"]["parts"] = {"stages.nn.losses": {"infonce": "9", "<module>": "8", "extra": "7"}}
    assert differences(OLD, new) == [
        "schedule.lr: 0.1 -> 0.2",
        "queue: 64 -> (absent)",
        "dim: (absent) -> 8",
        'input init: (absent) -> "results/s/a.s0"',
        "seed: 0 -> 1",
        "the engine's runtime version changed",
        "changed statements of stages.nn.losses",
        "added stages.nn.losses.extra",
        "changed stages.nn.losses.infonce",
        "removed stages.nn.queue.Queue",
    ]
