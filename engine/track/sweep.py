"""One look over all records: what is new goes to MLflow, what has ended is closed."""

from __future__ import annotations

import json
import socket
import time
from pathlib import Path
from typing import Any, Mapping

from engine.track.parents import end_parent
from engine.track.replay import State, load_state, replay, save_state
from engine.track.repro import alive
from engine.track.store import Store

FOREIGN_LIMIT = 600.0
"""Seconds of silence after which a record of another host is taken to be at rest (never to be dead)."""
ATTEMPTS = 3
"""Times that a record which MLflow refuses is tried before it is left to the next start."""


class Sweep:
    """Keeps what it learnt of ended records, so that the next look costs little."""

    def __init__(self, home: Path, store: Store) -> None:
        self.runs = home / ".vidspec" / "runs"
        self.store = store
        self.changed = 0
        """Records that had news at the last look."""
        self.live = 0
        """Records, and commands above them, that may still bring news."""
        self.errors: dict[str, Exception] = {}
        """Record -> why it could not be written at the last look."""
        self._states: dict[str, State] = {}
        self._headers: dict[str, dict[str, Any]] = {}
        self._failures: dict[str, int] = {}

    def once(self) -> None:
        """Write all that is new. What MLflow refuses of one record does not keep it from the others."""
        self.changed = self.live = 0
        self.errors = {}
        for record in self._records():
            known = self._states.get(record.name)
            if (known and known.status) or self._failures.get(record.name, 0) >= ATTEMPTS:
                continue
            try:
                self._write(record)
            except (
                Exception
            ) as error:  # any of MLflow, HTTP and data base; reported by the caller, tried again
                self.errors[record.name] = error
                self._failures[record.name] = self._failures.get(record.name, 0) + 1
                self.live += self._failures[record.name] < ATTEMPTS
        self._end_parents()

    def _write(self, record: Path) -> None:
        before = load_state(record, self.store.identity)
        if before.status:
            self._states[record.name] = before
            return
        header = self._header(record)
        lives = is_live(header)
        state = replay(record, self.store, dead=lives is False)
        self._states[record.name] = state
        self._failures.pop(record.name, None)
        self.changed += state != before
        if not state.status:
            self.live += bool(lives) or not is_quiet(record)

    def _end_parents(self) -> None:
        """Close the run of each command that is gone and all of whose stages have ended."""
        groups: dict[str, list[str]] = {}
        for name, state in self._states.items():
            groups.setdefault(state.parent, []).append(name)
        for parent, names in groups.items():
            states = [self._states[n] for n in names]
            if all(s.parent_ended for s in states) or not all(s.status for s in states):
                continue
            repro = self._header(self.runs / names[-1])["repro"]
            if repro["host"] == socket.gethostname() and alive(repro["pid"], repro["started"]):
                self.live += 1
                continue
            end_parent(self.store, parent, [s.status for s in states])
            for name, state in zip(names, states, strict=True):
                state.parent_ended = True
                save_state(self.runs / name, self.store.identity, state)
            self.changed += 1

    def unseen(self) -> bool:
        """Whether there is a record that the last look did not meet."""
        return any(r.name not in self._states and r.name not in self._failures for r in self._records())

    def living(self) -> bool:
        """Whether a process that writes a record is running. Asks only the local files."""
        return any(is_live(self._header(record)) for record in self._records())

    def _records(self) -> list[Path]:
        return sorted(path.parent for path in self.runs.glob("*/run.json"))

    def _header(self, record: Path) -> dict[str, Any]:
        if record.name not in self._headers:
            header = json.loads((record / "run.json").read_text(encoding="utf-8"))
            self._headers[record.name] = {k: header[k] for k in ("process", "repro") if k in header}
        return self._headers[record.name]


def is_live(header: Mapping[str, Any]) -> bool | None:
    """Whether the process that writes a record is running; None if it runs on another host, or nobody knows."""
    process = header.get("process")
    if process is None or process["host"] != socket.gethostname():
        return None
    return alive(process["pid"], process["started"])


def is_quiet(record: Path) -> bool:
    """Whether nothing was written to a record for a while."""
    events = record / "events.jsonl"
    return time.time() - (events if events.exists() else record / "run.json").stat().st_mtime > FOREIGN_LIMIT
