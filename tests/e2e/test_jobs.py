"""``vidspec repro --jobs``: several stages at once, with the real DVC."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys

from tests.project import Project

ALL = {"numbers", "plain.s0", "plain.s1", "other.s0", "other.s1", "score.plain", "score.other", "report"}


def ran(output: str) -> list[str]:
    """Stages that were executed, each marked with its own name."""
    found = re.findall(r"^\[(\S+)\] Running stage '([^']+)'", output, re.MULTILINE)
    assert all(full in (label, f"toy.{label}") for label, full in found)
    return [label for label, _ in found]


def results(project: Project) -> dict[str, bytes]:
    return {str(p.relative_to(project.root)): p.read_bytes() for p in (project.root / "results").rglob("*") if p.is_file()}


def test_two_at_once_give_what_one_after_another_gives(toy: Project) -> None:
    output = toy.vidspec("repro", "--jobs", "2")
    assert sorted(ran(output)) == sorted(["compile", *ALL]) and "didn't change" not in output
    assert "git add" not in output and "lock file" not in output
    together = results(toy)
    headers = [json.loads(path.read_text()) for path in (toy.root / ".vidspec/runs").glob("*/run.json")]
    assert {h["stage"].removeprefix("toy.") for h in headers} == ALL
    assert len({h["repro"]["key"] for h in headers}) == 1  # one run of the study

    assert ran(toy.vidspec("repro", "--jobs", "2")) == []
    toy.edit("params.yaml", "power: 1 ", "power: 3 ")
    assert set(ran(toy.vidspec("repro", "--jobs", "2"))) == {"compile", "plain.s0", "plain.s1", "score.plain", "report"}

    toy.edit("params.yaml", "power: 3 ", "power: 1 ")
    toy.vidspec("repro", "--jobs", "1")
    assert results(toy) == together


def test_what_reads_a_failed_stage_is_left_and_the_rest_runs(toy: Project) -> None:
    toy.edit("specs/toy.yaml", "{method: average, power: 2,", "{method: average, power: 2, fail: true,")
    output = toy.vidspec("repro", "--jobs", "2", fails=True)
    assert "[other.s1] toy.other.s1: this model was told to fail" in output and "Traceback" not in output
    assert set(ran(output)) == {"compile", *ALL} - {"score.other", "report"}
    assert "toy.score.other was not run, as a stage that it reads failed" in output
    assert "–" in output  # the table has a gap


def test_jobs_are_of_the_workspace(toy: Project) -> None:
    output = toy.vidspec("repro", "--jobs", "2", "--temp", fails=True)
    assert "--jobs runs stages of this workspace" in output


def test_an_interrupted_run_ends_without_a_traceback_and_goes_on_when_called_again(toy: Project) -> None:
    slow = "    values = [float(v)"
    toy.edit("stages/average/stage.py", slow, f"    import time; time.sleep(4)\n{slow}")
    command = [sys.executable, "-u", "-m", "engine.cli", "repro", "--jobs", "2"]
    process = subprocess.Popen(
        command, cwd=toy.root, env=toy.env, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # tests in the background ignore it, and so would this
    )  # fmt: skip
    output = ""
    for line in process.stdout:
        output += line
        if "Running stage 'toy.plain.s" in line:
            os.killpg(process.pid, signal.SIGINT)  # as Ctrl-C in a terminal does
            break
    output += process.communicate(timeout=120)[0]
    assert process.returncode != 0 and "Traceback" not in output, output
    assert "no more are started" in output and len(ran(output)) < len(ALL)
    assert set(ran(toy.vidspec("repro", "--jobs", "2"))) >= ALL - {"numbers"} - set(ran(output))
    assert toy.vidspec("plan").count("cached") >= len(ALL)
