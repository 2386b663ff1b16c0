"""What is said about memory before a training, and when something will not fit."""

from __future__ import annotations

import pytest

from stages.lofi.cost import encoder_shares, memories
from stages.lofi.fit import StepTimes, say_costs, warn_if_too_much
from stages.lofi.spec import Config, Constant
from stages.nn.spec import Narrow
from stages.snippets.spec import Snippets
from stages.tal.head_spec import Head
from stages.video.spec import Rgb


def config(**changes) -> Config:
    values = {
        "view_name": "rgb",
        "view": Rgb(),
        "encoder": Narrow(kind="narrow", width=4),
        "snippets": Snippets(count=16, frames=2, stride=1, size=48),
        "head": Head(channels=64, align_bins=2, context_bins=1),
        "micro_batch": 1,
    }
    return Config(**(values | changes))


@pytest.fixture
def told(make_context):
    context = make_context()
    lines = {"warn": [], "say": []}
    context.warn, context.say = lines["warn"].append, lines["say"].append
    return context, lines


def test_every_configuration_keeps_a_quarter_of_the_activations():
    shares = encoder_shares(config())
    assert set(shares) == {"S", "T", "ST"}
    assert all(share == pytest.approx(0.25, abs=0.03) for share in shares.values())
    assert encoder_shares(config(cycle=Constant(kind="constant", fidelity="full"))) == {"full": 1.0}


def test_a_warning_names_what_is_too_large_and_what_would_fit(told):
    context, lines = told
    full = config(
        cycle=Constant(kind="constant", fidelity="full"), frozen_norm=False
    )  # no chunks: fewer ways to go through
    predicted = memories(full, bf16=False)
    there = predicted["full"].peak / 1e9
    warn_if_too_much(full, predicted, 1.01 * there, False, context)
    assert lines == {"warn": [], "say": []}
    warn_if_too_much(full, predicted, 0.99 * there, False, context)
    assert lines["warn"][0].startswith("full will hardly fit the GPU's ")
    assert any(line.startswith("S (r_s 2, r_t 1)") for line in lines["say"])


def test_costs_are_printed_side_by_side(told):
    context, lines = told
    times = StepTimes()
    for fidelity in ("S", "ST", "S"):
        times.after(fidelity)
    say_costs(memories(config(), bf16=False), encoder_shares(config()), times, context)
    assert [line.split(":")[0] for line in lines["say"]] == ["S", "T", "ST"]
    assert all("the encoder keeps 0.2" in line and "the head takes" in line for line in lines["say"])
    assert ["s a step" in line for line in lines["say"]] == [True, False, True]


def test_when_nothing_fits(told):
    context, lines = told
    unfrozen = config(frozen_norm=False, cycle=Constant(kind="constant", fidelity="T"))
    warn_if_too_much(unfrozen, memories(unfrozen, bf16=False), 1e-5, False, context)
    assert lines["warn"] and lines["say"][0].startswith("nothing fits a budget of 1e-05 GB")
