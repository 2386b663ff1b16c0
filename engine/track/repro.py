"""Processes by identity: the ``dvc`` that a stage belongs to, and whether a process still lives."""

from __future__ import annotations

import hashlib
import os
import socket
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Sequence


COMMAND = "VIDSPEC_REPRO"
"""Environment variable with the number of a process that all stages below it belong to."""


@dataclass(frozen=True)
class Repro:
    """A process: here the command that a stage belongs to.

    create_time: seconds since 1970, to be shown; it moves when the clock is set. started: tells this process from
    any other of that number, whatever the clock does.
    """

    pid: int
    create_time: float
    started: str
    cmdline: tuple[str, ...]
    host: str

    @property
    def key(self) -> str:
        """The same for all stages of one command, and for no other command."""
        return hashlib.blake2b(f"{self.host}/{self.pid}/{self.started}".encode(), digest_size=8).hexdigest()


def this_process() -> Repro:
    """This process."""
    import psutil

    return Repro(
        os.getpid(),
        psutil.Process().create_time(),
        started(os.getpid()),
        tuple(sys.orig_argv),
        socket.gethostname(),
    )


def repro_process(pid: int | None = None) -> Repro | None:
    """The nearest ``dvc`` or ``vidspec`` among the processes above this one, or None.

    pid: begin with this process itself instead, for a ``dvc`` that was just started from here.
    """
    import psutil

    try:
        process = psutil.Process(pid) if pid is not None else psutil.Process().parent()
        while process is not None:
            if is_repro(command := process.cmdline()):
                name = socket.gethostname()
                return Repro(process.pid, process.create_time(), started(process.pid), tuple(command), name)
            process = process.parent()
    except psutil.Error:  # gone, or another user's: then nothing above it can be known
        return None
    return None


def command_above() -> Repro | None:
    """The command that a stage belongs to: that which has put its number into VIDSPEC_REPRO, as it runs several ``dvc``
    at once, or the nearest ``dvc`` or ``vidspec`` above this process."""
    named = os.environ.get(COMMAND, "")
    return (repro_process(int(named)) if named.isdecimal() else None) or repro_process()


def is_repro(command: Sequence[str]) -> bool:
    """Whether a command line is one of ``dvc`` or ``vidspec``, called as a script or as a module."""
    names = ("dvc", "vidspec")
    words = list(command[:6])
    if not words or Path(words[0]).name in names:
        return bool(words)
    if not Path(words[0]).name.startswith("python"):
        return False
    for i, word in enumerate(words[1:], 1):
        if word == "-m":
            module = words[i + 1] if i + 1 < len(words) else ""
            return module in ("dvc", "engine.cli") or module.startswith("dvc.")
        if not word.startswith("-"):
            return Path(word).name in names
    return False


def started(pid: int) -> str:
    """When a process began, by a clock that is never set: boot and clock ticks since then.

    Where there is no ``/proc``, by the system's clock. "" for a process that is gone or has ended.
    """
    try:
        fields = (
            Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
        )
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
        return "" if fields[0] in "ZX" else f"{boot}+{fields[19]}"
    except OSError:
        if Path("/proc/self/stat").exists():
            return ""
    import psutil

    try:
        process = psutil.Process(pid)
        return "" if process.status() == psutil.STATUS_ZOMBIE else f"{process.create_time():.0f}"
    except psutil.Error:
        return ""


def alive(pid: int, began: str) -> bool:
    """Whether the process lives that had number ``pid`` and began at ``began`` (see ``started``)."""
    return bool(began) and started(pid) == began
