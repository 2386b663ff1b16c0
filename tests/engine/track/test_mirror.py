"""The background process, and the UI's addresses."""

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from engine.errors import UserError
from engine.track import mirror, ui
from engine.track.failures import failed_stages
from engine.track.mirror import ensure_mirror, held
from engine.track.repro import alive
from engine.track.repro import started as start_of

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture
def started(monkeypatch):
    calls = []
    monkeypatch.setattr(mirror.subprocess, "Popen", lambda command, **more: calls.append((command, more)))
    return calls


def test_started_once_detached_and_quiet(home, started, monkeypatch):
    monkeypatch.delenv("MLFLOW_DISABLE_TELEMETRY", raising=False)
    assert ensure_mirror(home)
    command, more = started[0]
    assert command[1:] == ["-m", "engine.track.mirror", str(home)]
    assert more["start_new_session"] and more["cwd"] == ROOT
    assert more["env"]["MLFLOW_DISABLE_TELEMETRY"] == more["env"]["DO_NOT_TRACK"] == "true"
    with held(home, "mirror.lock"):
        assert not ensure_mirror(home)
    assert len(started) == 1


def test_runs_the_code_of_the_main_checkout_not_of_an_experiment(home, started):
    code = home / "engine" / "track" / "mirror.py"
    code.parent.mkdir(parents=True)
    code.touch()
    ensure_mirror(home)
    assert started[0][1]["cwd"] == home


def test_never_raises(home, started, monkeypatch, capsys):
    monkeypatch.setattr(mirror, "installed", lambda: False)
    assert not ensure_mirror(home)
    monkeypatch.setattr(mirror, "installed", lambda: True)
    monkeypatch.setattr(mirror, "_start", lambda home: (_ for _ in ()).throw(OSError("no space left")))
    assert not ensure_mirror(home)
    assert "no space left" in capsys.readouterr().err


def test_follows_records_and_ends_by_itself(home, new_record, client):
    record = new_record("demo.a")
    record.log(0, {"x": 1.0})
    code = "import sys; from pathlib import Path; from engine.track.mirror import run; run(Path(sys.argv[1]), 0.1, 0.3)"
    environment = {**os.environ, "MLFLOW_DISABLE_TELEMETRY": "true"}
    process = subprocess.Popen([sys.executable, "-c", code, str(home)], cwd=ROOT, env=environment)

    def value():
        runs = (
            [r for r in client.search_runs(["1"]) if r.info.run_name == "a"]
            if client.get_experiment_by_name("demo")
            else []
        )
        return runs[0].data.metrics.get("x") if runs else None

    def until(condition):
        deadline = time.monotonic() + 240
        while not condition():
            assert time.monotonic() < deadline and process.poll() is None
            time.sleep(0.1)

    try:
        until(lambda: value() == 1.0)
        with held(home, "mirror.lock", wait=False) as free:
            assert not free
        record.log(1, {"x": 2.0})
        until(lambda: value() == 2.0)
        record.end("finished")
        assert process.wait(timeout=60) == 0
    finally:
        process.kill()
        process.wait()
    assert {r.info.status for r in client.search_runs(["1"])} == {"FINISHED"}


def test_a_store_that_stays_away_ends_it(home, monkeypatch, new_record, capsys):
    new_record("demo.a").end("finished")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    monkeypatch.setattr(mirror.os, "nice", lambda n: 0)
    monkeypatch.setattr(mirror.Sweep, "living", lambda self: False)
    mirror.run(home, pause=0.01, linger=0.01, patience=0.05)
    said = capsys.readouterr().out
    assert "cannot be reached" in said and "given up" in said


def test_a_record_that_came_at_the_last_moment_is_not_forgotten(home, new_record, monkeypatch, client):
    new_record("demo.a").end("finished")
    late = []

    def once_more(home, pause, linger, patience):
        sweep = mirror.Sweep(home, mirror.Store(home))
        sweep.once()
        if not late:  # between the last look and the release of the lock
            late.append(new_record("demo.b"))
            late[0].end("finished")
        return sweep

    monkeypatch.setattr(mirror, "_mirror", once_more)
    monkeypatch.setattr(mirror.os, "nice", lambda n: 0)
    mirror.run(home)
    assert {"a", "b"} <= {r.info.run_name for r in client.search_runs(["1"])}


def test_which_stages_failed_last(home, new_record):
    for i, (stage, status) in enumerate(
        [("a", "failed"), ("a", "finished"), ("b", "finished"), ("b", "killed"), ("c", "failed")]
    ):
        new_record(f"demo.{stage}", name=f"2025010{i}-{stage}").end(status)
    new_record("demo.running", name="20250109").log(0, {"x": 1})
    (new_record("demo.cut", name="20250110").folder / "events.jsonl").write_text('{"status": "fai')
    assert failed_stages(home) == {"demo.b", "demo.c"}


def test_pages_of_the_ui(home, new_record, runs, tmp_path):
    (tmp_path / "report.html").write_text("x")
    record = new_record("demo.report", kind="report")
    record.artifact(tmp_path / "report.html", parent=True)
    record.end("finished")
    new_record("other.a").end("finished")
    parent = runs()["report"].data.tags["mlflow.parentRunId"]
    pages = ui.pages(home, ui.store_uri(home))
    training = "workflowType=machine_learning"
    assert pages["demo"] == (
        f"#/experiments/1/runs?{training}",
        f"#/experiments/1/runs/{parent}/artifacts/report.html?{training}",
    )
    assert pages["other"][1] == ""
    assert ui.pages(home, "sqlite:////elsewhere.db") == {}


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_stopping_the_ui_ends_the_server_and_what_it_started(number):
    server = (
        "import os, subprocess, sys, time\n"
        "child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)'])\n"
        "print(os.getpid(), child.pid, flush=True)\n"
        "time.sleep(600)\n"
    )
    code = "import os, sys; from engine.track.ui import attend; sys.exit(attend([sys.executable, '-c', sys.argv[1]], os.environ))"
    process = subprocess.Popen(
        [sys.executable, "-c", code, server], cwd=ROOT, stdout=subprocess.PIPE, text=True
    )
    pids = [int(word) for word in process.stdout.readline().split()]
    began = [start_of(pid) for pid in pids]
    assert all(map(alive, pids, began))
    process.send_signal(number)
    assert process.wait(timeout=60) == 0
    deadline = time.monotonic() + 10
    while any(map(alive, pids, began)) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not any(map(alive, pids, began))


def test_a_taken_port_is_left_alone():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        assert ui.free_port(port) != port


def test_a_server_has_its_own_ui(home, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "https://mlflow.example.org")
    with pytest.raises(UserError, match="https://mlflow.example.org"):
        ui.serve(home)
