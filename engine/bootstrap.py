"""First line of every command that DVC runs: is this the Python that Vidspec was installed into? Standard library only."""

from __future__ import annotations

import importlib.util
import os
import sys
from pathlib import Path


def ensure_python(module: str) -> None:
    """Go on in the project's own Python when ``python`` on PATH is another one (``.venv/bin/dvc`` called bare).

    Ends the process with one line on what to do when there is no such Python.
    """
    if importlib.util.find_spec("pydantic") and importlib.util.find_spec("omegaconf"):
        return
    here = Path.cwd().resolve()
    for folder in (here, *here.parents):
        python = folder / ".venv" / "bin" / "python"
        if python.exists() and os.environ.get("VIDSPEC_PYTHON") != str(python):
            os.environ["VIDSPEC_PYTHON"] = str(python)
            os.environ["PATH"] = f"{python.parent}{os.pathsep}{os.environ.get('PATH', '')}"
            os.execv(python, [str(python), "-m", module, *sys.argv[1:]])
    sys.exit(
        f"vidspec is not installed in {sys.executable}, which is the `python` on PATH: "
        "run `make repro`, or activate the environment that it is installed in and call `dvc repro` again"
    )
