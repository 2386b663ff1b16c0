"""What a run stood on: code, packages, machine, and the ``dvc`` that started it. Collected in a fraction of a second."""

from __future__ import annotations

import getpass
import os
import platform
import re
import socket
import subprocess
import sys
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

from engine.track.repro import command_above, this_process

DIFF_LIMIT = 200_000
"""Characters of the diff that are kept."""

OUTCOMES = (":(exclude)dvc.lock", ":(exclude)results")
"""Tracked files that runs write: they are results of the code, not part of it."""


def facts(checkout: Path | None = None) -> dict[str, Any]:
    """The part of a record's header that does not depend on the stage. Imports neither torch nor mlflow.

    checkout: folder whose git state is noted; the working directory by default.
    """
    repro = command_above() or this_process()
    return {
        "time": time.time(),
        "command": sys.orig_argv,
        "process": asdict(this_process()),
        "repro": {**asdict(repro), "key": repro.key},
        "experiment": os.environ.get("DVC_EXP_NAME") or None,
        "git": git_state(checkout or Path.cwd()),
        "python": platform.python_version(),
        "packages": packages(),
        "hardware": hardware(),
        "host": socket.gethostname(),
        "user": _user(),
    }


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container whose user has no entry in passwd
        return str(os.getuid())


def git_state(checkout: Path) -> dict[str, Any] | None:
    """Commit, branch, diff against the commit and names of untracked files; None outside a git checkout."""
    status = _git(checkout, "status", "--porcelain=v2", "--branch", "--untracked-files=normal")
    if status is None:
        return None
    lines = status.splitlines()
    head = {
        words[1]: words[2]
        for line in lines
        if line.startswith("# ") and len(words := line.split(" ", 2)) == 3
    }
    commit, branch = head.get("branch.oid"), head.get("branch.head")
    has_commit = commit not in (None, "(initial)")
    diff = (
        _git(checkout, "diff", "--no-color", "--no-ext-diff", "HEAD", "--", ".", *OUTCOMES)
        if has_commit
        else None
    ) or ""
    if len(diff) > DIFF_LIMIT:
        diff = f"{diff[:DIFF_LIMIT]}\n... {len(diff) - DIFF_LIMIT} more characters were left out\n"
    return {
        "commit": commit if has_commit else None,
        "branch": None if branch == "(detached)" else branch,
        "diff": diff,
        "untracked": [line[2:] for line in lines if line.startswith("? ")][:100],
    }


def _git(checkout: Path, *arguments: str) -> str | None:
    environment = {**os.environ, "GIT_OPTIONAL_LOCKS": "0"}  # never in the way of the user's own git
    try:
        done = subprocess.run(
            ["git", "-C", str(checkout), *arguments],
            capture_output=True,
            timeout=10,
            env=environment,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.decode("utf-8", "replace") if done.returncode == 0 else None


def packages() -> dict[str, str]:
    """Installed distributions and their versions, from the names of their ``.dist-info`` folders (no file is opened)."""
    found: dict[str, str] = {}
    for folder in sys.path:
        if not folder or not os.path.isdir(folder):
            continue
        for name in os.listdir(folder):
            if match := re.fullmatch(r"(.+?)-([^-]+)\.dist-info", name):
                found.setdefault(match[1].replace("_", "-").lower(), match[2])
    return dict(sorted(found.items()))


def hardware() -> dict[str, Any]:
    """CPU, memory and GPUs, as the system itself names them."""
    import psutil

    return {
        "cpu": _first_match(Path("/proc/cpuinfo"), r"model name\s*:\s*(.+)")
        or platform.processor()
        or platform.machine(),
        "cores": psutil.cpu_count(logical=False),
        "threads": psutil.cpu_count(),
        "memory_gb": round(psutil.virtual_memory().total / 1e9, 1),
        "gpus": _gpus(),
        "system": platform.platform(),
    }


def _gpus() -> list[str]:
    torch = sys.modules.get("torch")  # importing it here would cost a second or more
    if torch is not None and torch.cuda.is_available():
        return [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())]
    cards = sorted(Path("/proc/driver/nvidia/gpus").glob("*/information"))
    return [name for card in cards if (name := _first_match(card, r"Model:\s*(.+)"))]


def _first_match(path: Path, pattern: str) -> str | None:
    try:
        match = re.search(pattern, path.read_text(encoding="utf-8", errors="replace"))
    except OSError:
        return None
    return match[1].strip() if match else None
