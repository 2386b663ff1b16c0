"""The parent run of one ``repro``: it holds the runs of its stages together, and shows the study's tables."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any, Mapping

from engine.track.store import Store, milliseconds, shorten

NOTE = "mlflow.note.content"
NOTE_LIMIT = 5_000
"""The column of an experiment's tags is no wider in older data bases."""


def parent_run(header: Mapping[str, Any], store: Store) -> str:
    """Id of the parent run of a record, in the experiment of its study; made if it does not exist."""
    experiment, repro = store.experiment(header["study"]), header["repro"]
    found = store.find_run(experiment, "vidspec.repro", repro["key"])
    if found:
        return found
    git = header.get("git") or {}
    started = time.strftime("%Y-%m-%d %H:%M", time.localtime(repro["create_time"]))
    tags = {
        "vidspec.repro": repro["key"],
        "mlflow.source.name": shorten(" ".join(repro["cmdline"]), 500),
        "mlflow.source.type": "LOCAL",
        "mlflow.source.git.commit": git.get("commit"),
        "mlflow.source.git.branch": git.get("branch"),
        "mlflow.user": header.get("user"),
        "dvc.experiment": header.get("experiment"),
    }
    run = store.client.create_run(
        experiment,
        start_time=milliseconds(repro["create_time"]),
        tags={key: str(value) for key, value in tags.items() if value},
        run_name=header.get("experiment") or f"repro {started}",
    )
    return run.info.run_id


def show_at_parent(file: Path, header: Mapping[str, Any], store: Store, parent: str) -> None:
    """Put a Markdown report into the description of the parent run, and of the experiment (ablations: not there)."""
    if file.name != "report.md":
        return
    text = shorten(file.read_text(encoding="utf-8"), NOTE_LIMIT)
    store.client.set_tag(parent, NOTE, text)
    if not header.get("experiment"):
        store.client.set_experiment_tag(store.experiment(header["study"]), NOTE, text)


def end_parent(store: Store, parent: str, statuses: list[str]) -> None:
    """Close a parent run; it is as good as the worst of its stages."""
    worst = next((s for s in ("FAILED", "KILLED") if s in statuses), "FINISHED")
    store.client.set_terminated(parent, worst, milliseconds(time.time()))
