"""What runs again after an edit, with the real DVC on a study of arithmetic."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path

import pytest

from tests.project import Project


def ran(output: str) -> set[str]:
    """Names of the stages that DVC executed."""
    return set(re.findall(r"Running stage '([^']+)'", output))


ALL = {"compile", "toy.numbers", "toy.plain.s0", "toy.plain.s1", "toy.other.s0", "toy.other.s1", "toy.score.plain", "toy.score.other", "toy.report"}
PLAIN = {"toy.plain.s0", "toy.plain.s1", "toy.score.plain", "toy.report"}


def test_only_what_an_edit_touches_runs_again(toy: Project) -> None:
    assert ran(toy.dvc("repro")) == ALL
    assert ran(toy.dvc("repro")) == set()

    # a knob: the models that use it and what reads them
    toy.edit("params.yaml", "power: 1 ", "power: 3 ")
    assert "power: 1 -> 3" in toy.vidspec("plan")
    assert ran(toy.dvc("repro")) == {"compile"} | PLAIN

    # a comment or a docstring: compile looks, nothing else runs
    toy.edit("stages/average/maths.py", "OFFSET = 0.5", "OFFSET = 0.5  # half")
    toy.edit("stages/average/maths.py", "Mean of the powers.", "The mean of powers.")
    assert ran(toy.dvc("repro")) == {"compile"}

    # a constant: every stage that reaches it, and no other
    toy.edit("stages/average/maths.py", "OFFSET = 0.5", "OFFSET = 0.75")
    assert "changed statements of stages.average.maths" in toy.vidspec("plan")
    assert ran(toy.dvc("repro")) == ALL - {"toy.numbers"}
    assert ran(toy.dvc("repro")) == set()


def test_a_stage_refuses_code_that_is_newer_than_its_file(toy: Project) -> None:
    toy.edit("stages/numbers/stage.py", "context.rng", "1.5 * context.rng")
    output = toy.run("python", "-m", "engine.run", "toy.numbers", fails=True)
    assert "the code has changed" in output and "stages.numbers.stage:run" in output and "Traceback" not in output


def test_an_experiment_through_dvc_runs_only_what_it_touches(toy: Project) -> None:
    toy.dvc("repro")
    toy.commit("results")
    assert ran(toy.dvc("exp", "run", "-S", "toy.power=2", "--name", "squared")) == {"compile"} | PLAIN
    assert "power: 2   # of the plain model" in toy.read("params.yaml")
    assert "squared" in toy.dvc("exp", "list", "--name-only")


@pytest.mark.parametrize("where", ["workspace", "temp"])
def test_a_shape_change_is_refused_by_dvc_and_done_by_vidspec(toy: Project, where: str) -> None:
    toy.dvc("repro")
    toy.commit("results")
    before = toy.read("params.yaml")
    refused = toy.dvc("exp", "run", "-S", "toy.copies=2", fails=True)
    assert "run `vidspec repro`" in refused and "Traceback" not in refused
    assert ran(refused) <= {"compile"}
    toy.write("params.yaml", before)

    flags = ["--temp"] if where == "temp" else []
    done = toy.vidspec("repro", "-S", "toy.copies=2", "--name", "two", *flags)
    assert {"toy.other.p0.s0", "toy.other.p1.s0"} <= ran(done)
    assert "toy.plain.s0" not in ran(done)
    in_workspace = "other.p1.s0" in toy.read("dvc.yaml")
    assert in_workspace == (where == "workspace")

    # A -> B -> A -> B: the earlier success of B must not let DVC pass it over
    toy.write("params.yaml", before)
    toy.vidspec("compile")
    toy.dvc("repro")
    again = toy.dvc("exp", "run", "-S", "toy.copies=2", fails=True)
    assert "run `vidspec repro`" in again


def test_queued_and_temporary_experiments_keep_their_records_in_the_main_checkout(toy: Project) -> None:
    toy.dvc("repro")
    toy.commit("results")
    toy.vidspec("repro", "-S", "toy.power=4", "--temp", "--name", "fourth")
    toy.vidspec("repro", "-S", "toy.power=5", "-S", "toy.copies=2", "--queue", "--name", "fifth")
    assert "power: 1" in toy.read("params.yaml") and "p1" not in toy.read("dvc.yaml")
    toy.dvc("exp", "run", "--run-all")
    runs = [json.loads(p.read_text()) for p in (toy.root / ".vidspec" / "runs").glob("*/run.json")]
    powers = {r["stage_file"]["config"]["power"] for r in runs if r["stage"] == "toy.plain.s0"}
    assert powers == {1, 4, 5}
    table = toy.vidspec("table", "--exp", "fourth", "--exp", "fifth")
    assert "fourth" in table and "fifth" in table


def test_a_failing_model_leaves_the_others_running_and_a_gap_in_the_table(toy: Project) -> None:
    toy.edit("specs/toy.yaml", "{method: average, power: 2,", "{method: average, power: 2, fail: true,")
    output = toy.vidspec("repro", fails=True)
    assert "this model was told to fail" in output and "Traceback" not in output
    assert "toy.score.plain" in ran(output) and "toy.score.other" not in ran(output)
    assert "–" in output


def test_stages_run_without_dvc(toy: Project) -> None:
    for name in ("numbers", "plain.s0", "plain.s1", "score.plain"):
        toy.run("python", "-m", "engine.run", f"toy.{name}")
    assert set(json.loads(toy.read("results/toy/score.plain.metrics.json"))["seeds"]) == {"0", "1"}
    assert toy.read("results/toy/plain.s0/curves.csv").splitlines()[0] == "step,value"


def test_another_python_finds_the_projects_own(toy: Project) -> None:
    """A bare ``.venv/bin/dvc repro`` calls whatever ``python`` is on PATH, which may lack everything."""
    bare = toy.root / "bare" / "python"
    bare.parent.mkdir()
    bare.write_text(f'#!/bin/sh\nexec {Path(sys.base_prefix) / "bin" / "python3"} -S "$@"\n')
    bare.chmod(0o755)
    output = toy.run(str(bare), "-m", "engine.run", "toy.numbers", fails=True)
    assert len(output.splitlines()) == 1 and "is not installed in" in output and "make repro" in output

    own = toy.root / ".venv" / "bin" / "python"
    own.parent.mkdir(parents=True)
    own.write_text(f'#!/bin/sh\nexec {sys.executable} "$@"\n')
    own.chmod(0o755)
    toy.run(str(bare), "-m", "engine.run", "toy.numbers")
    assert (toy.root / "results" / "toy" / "numbers.metrics.json").exists()
