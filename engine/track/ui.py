"""The MLflow UI on the store of a checkout."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path
from types import FrameType
from typing import Mapping, Sequence

from engine.errors import UserError
from engine.track.store import QUIET, artifact_root, installed, store_uri

TRAINING = "workflowType=machine_learning"
"""Or the UI opens with its pages for language models."""


def serve(home: Path, port: int = 5000) -> int:
    """Serve the MLflow UI on 127.0.0.1 until it is interrupted; returns its exit status.

    Takes a free port when ``port`` is in use, and prints the address. Raises UserError if MLflow is missing, or the
    store is a server, which has a UI of its own.
    """
    if not installed():
        raise UserError("MLflow is not installed here: run `make repro`, or `pip install mlflow`")
    uri = store_uri(home)
    if uri.startswith(("http://", "https://")):
        raise UserError(f"the MLflow store is a server (MLFLOW_TRACKING_URI): open {uri} in a browser")
    port = free_port(port)
    print(f"MLflow UI: http://127.0.0.1:{port}   (store: {uri}; end with Ctrl-C)", flush=True)
    for study, (runs, table) in pages(home, uri).items():
        print(f"{study}: runs http://127.0.0.1:{port}/{runs}", flush=True)
        if table:
            print(f"{study}: table http://127.0.0.1:{port}/{table}", flush=True)
    return attend(
        [
            *(sys.executable, "-m", "mlflow", "server"),
            *("--backend-store-uri", uri),
            *("--artifacts-destination", artifact_root(home).as_uri()),
            *("--host", "127.0.0.1", "--port", str(port), "--workers", "1"),
            *("--uvicorn-opts", "--log-level warning"),
        ],
        {**os.environ, **QUIET},
    )


def attend(command: Sequence[str], environment: Mapping[str, str]) -> int:
    """Run a server, with all its processes, until it ends or this process is asked to stop; returns its exit status.

    The server does not see Ctrl-C itself, so that it ends in order and without a traceback.
    """

    def stop(number: int, frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    before = {n: signal.signal(n, stop) for n in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
    process = subprocess.Popen(command, env=environment, start_new_session=True)
    try:
        return process.wait()
    except KeyboardInterrupt:
        return 0
    finally:
        for number in before:
            signal.signal(number, signal.SIG_IGN)
        end_group(process)
        for number, handler in before.items():
            signal.signal(number, handler)


def end_group(process: subprocess.Popen[bytes], patience: float = 10.0) -> None:
    """End a process that leads a session, and what it has started: politely, and after ``patience`` seconds by force."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        try:
            os.killpg(process.pid, number)
            process.wait(timeout=patience)
        except ProcessLookupError:
            return
        except subprocess.TimeoutExpired:
            continue


def pages(home: Path, uri: str) -> dict[str, tuple[str, str]]:
    """Study -> the UI's pages with its runs and with its latest table ("" if it has none), by the local records."""
    found: dict[str, tuple[str, str]] = {}
    for record in sorted((home / ".vidspec" / "runs").glob("*/mirror.json")):
        states = json.loads(record.read_text(encoding="utf-8"))
        state = next((s for store, s in reversed(states.items()) if store.rpartition("#")[0] == uri), None)
        if state is None or not state["run"]:
            continue
        header = json.loads(record.with_name("run.json").read_text(encoding="utf-8"))
        runs = f"#/experiments/{state['experiment']}/runs"
        table = found.get(header["study"], ("", ""))[1]
        if header["kind"] == "report" and state["status"] == "FINISHED":
            table = f"{runs}/{state['parent']}/artifacts/report.html?{TRAINING}"
        found[header["study"]] = (f"{runs}?{TRAINING}", table)
    return found


def free_port(wanted: int) -> int:
    """``wanted`` if it is free on this machine, else any free port."""
    for port in (wanted, 0):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return probe.getsockname()[1]
    raise UserError("no free port on 127.0.0.1")
