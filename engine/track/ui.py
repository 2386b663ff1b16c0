"""The MLflow UI on the store of a checkout."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

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
    process = subprocess.Popen(
        [
            *(sys.executable, "-m", "mlflow", "server"),
            *("--backend-store-uri", uri),
            *("--artifacts-destination", artifact_root(home).as_uri()),
            *("--host", "127.0.0.1", "--port", str(port), "--workers", "1"),
        ],
        env={**os.environ, **QUIET},
    )
    try:
        return process.wait()
    except KeyboardInterrupt:  # the terminal has sent it to the server as well
        try:
            process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        return 0
    finally:
        if process.poll() is None:
            process.terminate()


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
