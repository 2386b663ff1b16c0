"""Which stages ended badly when they were last tried."""

from __future__ import annotations

import json
from pathlib import Path

TAIL = 1_000_000
"""Bytes at the end of a record in which its last event is sought."""


def failed_stages(home: Path) -> frozenset[str]:
    """Names of the stages whose latest record ended as failed or killed."""
    latest: dict[str, Path] = {}
    for path in sorted((home / ".vidspec" / "runs").glob("*/run.json")):  # names begin with the time
        latest[json.loads(path.read_text(encoding="utf-8"))["stage"]] = path.parent
    return frozenset(stage for stage, record in latest.items() if _end(record) in ("failed", "killed"))


def _end(record: Path) -> str | None:
    path = record / "events.jsonl"
    if not path.exists():
        return None
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - TAIL))
        lines = file.read().splitlines()
    try:
        return json.loads(lines[-1]).get("status") if lines else None
    except ValueError:  # cut off by a kill
        return None
