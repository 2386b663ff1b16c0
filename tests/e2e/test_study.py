"""A whole study on real videos: clips, training, evaluation, table, MLflow; and what a kill leaves behind."""

from __future__ import annotations

import hashlib
import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.project import Project, make_project

STUDY = """
spec: 1
name: tiny
knobs: {epochs: 3}
data: {kind: synthetic_actions, train: 64, test: 32, frames: 8, size: 32}
clip: {frames: 4, size: 32}
encoder: {kind: narrow, width: 4}
models:
  random: {method: random}
  infonce: {method: infonce, queue: 32, dim: 8, schedule: {epochs: "${knobs.epochs}", batch: 8}}
evaluate:
  - {protocol: linear_probe, models: [random, infonce]}
  - {protocol: retrieval, models: [infonce]}
tables:
  one:
    rows: [random, infonce]
    columns: [linear_probe.top1, retrieval.recall_at_1]
    paper: {infonce: {linear_probe.top1: 46.8}}
    claims: [infonce > random on linear_probe.top1]
deviations: [Not the data of the paper.]
"""


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A project in which the study has run once, tracked in its own MLflow store."""
    project = make_project(tmp_path_factory.mktemp("study") / "checkout", copy_specs=False)
    (project.root / "specs").mkdir()
    project.write("specs/tiny.yaml", STUDY)
    project.write("params.yaml", "specs: [tiny]\n")
    project.vidspec("compile")
    project.commit()
    project.output = project.vidspec("repro", VIDSPEC_MLFLOW="0")
    return project


def digests(folder: Path) -> dict[str, str]:
    return {p.relative_to(folder).as_posix(): hashlib.sha256(p.read_bytes()).hexdigest() for p in sorted(folder.rglob("*")) if p.is_file()}


def test_the_table_and_the_files(study: Project) -> None:
    assert "46.8" in study.output and "undecided" in study.output and "Not the data of the paper." in study.output
    results = study.root / "results" / "tiny"
    for file in ("clips/pictures/contact_sheet.png", "infonce.s0/encoder.safetensors", "infonce.s0/curves.csv", "report/report.html", "report/one.tex"):
        assert (results / file).stat().st_size > 0, file
    assert list((results / "retrieval.infonce" / "pictures").glob("*.png"))
    scores = json.loads((results / "linear_probe.infonce.metrics.json").read_text())
    assert scores["test_videos"] == 32 and 0 <= scores["seeds"]["0"]["top1"] <= 1
    assert not list((study.root / ".vidspec" / "checkpoints").glob("*/*"))


def test_a_second_run_has_nothing_to_do(study: Project) -> None:
    output = study.vidspec("repro")
    assert "Running stage" not in output and "46.8" in output
    assert study.vidspec("plan").count("cached") >= 9


def test_the_runs_are_in_mlflow_with_the_table(study: Project) -> None:
    """The records are mirrored into a real SQLite store: a parent for each repro, a child for each stage."""
    code = "from pathlib import Path; from engine.track.mirror import sync; sync(Path('.').resolve())"
    study.run(sys.executable, "-c", code)
    from mlflow.tracking import MlflowClient

    client = MlflowClient(f"sqlite:///{study.root}/.vidspec/mlflow.db")
    experiment = client.get_experiment_by_name("tiny")
    runs = list(client.search_runs([experiment.experiment_id], max_results=200))
    parents = [r for r in runs if "mlflow.parentRunId" not in r.data.tags]
    children = [r for r in runs if "mlflow.parentRunId" in r.data.tags]
    assert len(parents) >= 1 and {r.data.tags["mlflow.parentRunId"] for r in children} <= {p.info.run_id for p in parents}
    trained = next(r for r in children if r.data.tags.get("vidspec.stage") == "tiny.infonce.s0" and r.data.tags.get("cached") != "true")
    assert len(client.get_metric_history(trained.info.run_id, "loss")) > 3
    assert any("46.8" in p.data.tags.get("mlflow.note.content", "") for p in parents)


@pytest.mark.parametrize("attempt", range(2))
def test_a_killed_training_goes_on_to_the_same_bits(study: Project, attempt: int) -> None:
    """kill -9 of the whole process group at a random moment after the first checkpoint, then the same command again."""
    expected = digests(study.root / "results" / "tiny" / "infonce.s0")
    command = [sys.executable, "-m", "engine.run", "tiny.infonce.s0"]
    env = {**study.env, "VIDSPEC_CHECKPOINT_STEPS": "2"}
    process = subprocess.Popen(command, cwd=study.root, env=env, start_new_session=True, stderr=subprocess.DEVNULL)
    checkpoints = study.root / ".vidspec" / "checkpoints"
    deadline = time.monotonic() + 300
    while not list(checkpoints.glob("*/step-*.pt")) and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.01)
    time.sleep(random.Random(attempt).uniform(0, 0.3))
    killed = process.poll() is None
    if killed:
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    output = study.run(*command, **{"VIDSPEC_CHECKPOINT_STEPS": "2"})
    if killed:
        assert "goes on at step" in output
    assert digests(study.root / "results" / "tiny" / "infonce.s0") == expected


def test_a_dead_dvc_ends_its_stages(study: Project) -> None:
    """A stage whose dvc was killed saves its state and stops, instead of going on unseen."""
    study.edit("params.yaml", "specs: [tiny]\n", "specs: [tiny]\ntiny: {epochs: 400}\n")
    env = {**study.env, "VIDSPEC_CHECKPOINT_STEPS": "5"}
    process = subprocess.Popen(
        [sys.executable, "-m", "dvc", "repro", "tiny.infonce.s0"], cwd=study.root, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    checkpoints = study.root / ".vidspec" / "checkpoints"
    deadline = time.monotonic() + 300
    while not list(checkpoints.glob("*/step-*.pt")) and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.05)
    process.kill()
    process.wait()

    def last_event() -> dict:
        newest = max((study.root / ".vidspec" / "runs").glob("*-tiny.infonce.s0-*"), key=lambda p: p.stat().st_mtime)
        return json.loads((newest / "events.jsonl").read_text().splitlines()[-1])

    while last_event()["event"] != "end" and time.monotonic() < deadline:
        time.sleep(0.2)
    assert last_event()["status"] == "killed"
    study.write("params.yaml", "specs: [tiny]\n")
