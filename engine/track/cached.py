"""Records of stages that had nothing to do: their results were there already."""

from __future__ import annotations

import time
import uuid
from dataclasses import asdict
from pathlib import Path
from typing import Any, Mapping

from engine.track.facts import facts
from engine.track.record import Record
from engine.track.repro import Repro


def record_cached(
    home: Path,
    stage_file: Mapping[str, Any],
    metrics: Mapping[str, Any],
    repro: Repro | None = None,
    artifacts: Mapping[str, Path] | None = None,
    common: Mapping[str, Any] | None = None,
) -> Path:
    """Write a finished record, marked as cached, of a stage whose results did not have to be computed.

    stage_file: content of the stage file. metrics: content of its metrics.json. repro: the command that found it
    cached, where that is not above this process (``repro_process(pid)`` of the ``dvc`` that was started).
    artifacts: name -> file to show, at the parent run too (a report's tables). common: ``facts()``, to collect them once for
    many stages. Returns the record's folder.
    """
    header = {**(common or facts())}
    if repro is not None:
        header["repro"] = {**asdict(repro), "key": repro.key}
    header |= {
        "stage": stage_file["stage"],
        "study": stage_file["stage"].split(".", 1)[0],
        "kind": stage_file["kind"],
        "seed": stage_file["seed"],
        "stage_file": dict(stage_file),
        "cached": True,
    }
    name = f"{time.strftime('%Y%m%d-%H%M%S')}-{header['stage']}-{uuid.uuid4().hex[:6]}"
    record = Record(home / ".vidspec" / "runs" / name, header)
    for name, path in (artifacts or {}).items():
        record.artifact(path, name, parent=True)
    record.end("finished", metrics)
    return home / ".vidspec" / "runs" / name
