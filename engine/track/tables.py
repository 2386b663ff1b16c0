"""Tables as MLflow's ``log_table`` writes them: a JSON file with ``columns`` and ``data``, announced in a tag of the run."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Mapping

TAG = "mlflow.loggedArtifacts"


def is_table(file: Path) -> bool:
    """Whether a file is such a table."""
    if file.suffix != ".json" or file.stat().st_size > 10_000_000:
        return False
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
    except ValueError:
        return False
    return isinstance(content, dict) and set(content) == {"columns", "data"}


def with_table(tags: Mapping[str, str], path: str) -> dict[str, str]:
    """The tag of a run that makes the UI open the artifact ``path`` as a table, besides those that it had."""
    known = json.loads(tags.get(TAG, "[]"))
    entry = {"path": path, "type": "table"}
    return {TAG: json.dumps(known if entry in known else [*known, entry])}
