"""Where the main checkout is, also from inside the temporary checkouts of ``dvc exp run --temp`` and ``--queue``."""

from __future__ import annotations

import os
from pathlib import Path

_EXPERIMENTS = (".dvc", "tmp", "exps")


def home(start: Path | None = None) -> Path:
    """The main checkout: it holds ``local.yaml``, ``.vidspec`` and the MLflow store.

    ``VIDSPEC_HOME`` wins; otherwise the nearest folder upwards with a ``.dvc``, and for a temporary checkout of an
    experiment (``<main>/.dvc/tmp/exps/...``) the checkout that it was made from.
    """
    if named := os.environ.get("VIDSPEC_HOME"):
        return Path(named).resolve()
    start = (start or Path.cwd()).resolve()
    parts = start.parts
    for i in range(len(parts) - 2):
        if parts[i : i + 3] == _EXPERIMENTS:
            return Path(*parts[:i])
    for folder in (start, *start.parents):
        if (folder / ".dvc").is_dir():
            return folder
    return start


def state(*parts: str) -> Path:
    """A path below ``.vidspec`` of the main checkout: checkpoints, run records, the store, the MLflow data base."""
    return home().joinpath(".vidspec", *parts)
