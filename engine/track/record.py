"""The local record of one stage execution: the truth of which MLflow is a view.

A folder ``.vidspec/runs/<id>/`` in the main checkout with ``run.json`` (what was run, on what), ``events.jsonl`` (curves,
pictures, messages, the end) and copies of pictures and tables. Only appended to; readable after a kill at any moment.
"""

from __future__ import annotations

import json
import os
import shutil
import time
from pathlib import Path
from typing import Any, Mapping


class Record:
    """Writer of one record. With ``folder=None`` it swallows everything (for ranks > 0 and for tests)."""

    def __init__(self, folder: Path | None, header: Mapping[str, Any] | None = None) -> None:
        self.folder = folder
        self._file = None
        if folder is not None:
            folder.mkdir(parents=True, exist_ok=True)
            partial = folder / ".run.json"
            partial.write_text(json.dumps(dict(header or {}), indent=1, sort_keys=True))
            os.replace(partial, folder / "run.json")
            self._file = (folder / "events.jsonl").open("a", buffering=1)

    def log(self, step: int, values: Mapping[str, float]) -> None:
        """Points of curves at ``step``."""
        self._write("log", step=int(step), values=dict(values))

    def picture(self, path: Path) -> None:
        """Keep a copy of a picture."""
        self._keep("picture", path, f"pictures/{path.name}")

    def artifact(self, path: Path, name: str | None = None, parent: bool = False) -> None:
        """Keep a copy of a file; ``parent``: show it at the parent run too (the study's tables)."""
        self._keep("artifact", path, name or path.name, parent=parent)

    def message(self, text: str, level: str = "info") -> None:
        """A line that was shown to the user."""
        self._write("message", text=text, level=level)

    def end(self, status: str, metrics: Mapping[str, Any] | None = None, error: str | None = None) -> None:
        """The last event. status: ``finished``, ``failed`` or ``killed``; metrics: the content of metrics.json."""
        self._write("end", status=status, metrics=dict(metrics or {}), error=error)
        if self._file is not None:
            self._file.close()
            self._file = None

    def _keep(self, kind: str, path: Path, name: str, **more: Any) -> None:
        if self.folder is not None:
            target = self.folder / name
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, target)
        self._write(kind, file=name, **more)

    def _write(self, kind: str, **event: Any) -> None:
        if self._file is not None:
            self._file.write(json.dumps({"time": time.time(), "event": kind, **event}) + "\n")


def read_events(folder: Path, offset: int = 0) -> tuple[list[dict[str, Any]], int]:
    """Events written since byte ``offset`` and the new offset; a half-written last line is left for the next call."""
    path = folder / "events.jsonl"
    if not path.exists():
        return [], offset
    with path.open("rb") as file:
        file.seek(offset)
        data = file.read()
    whole = data[: data.rfind(b"\n") + 1]
    return [json.loads(line) for line in whole.splitlines() if line.strip()], offset + len(whole)
