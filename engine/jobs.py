"""Several stages at once: stages whose inputs are there are handed to DVC, in ``dvc repro --single-item`` each.

DVC itself runs one stage after another, and one stage seldom keeps all cores busy. Its locks allow several of its
processes in a checkout; which stage may run when is decided here.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from pathlib import Path
from threading import Lock

from engine.compile.plan import Stage
from engine.compile.state import states

MOST = 4
"""Stages at once on a machine without a GPU, however many cores it has: they share its memory."""

BATCH = 4
"""Stages that only the report reads are small: up to so many share one start of DVC, which takes as long as one of them."""

_COMPILE = "compile"


def default_jobs() -> int:
    """One stage at once where there is a GPU, as they would share its memory; else one for each core, up to MOST."""
    if Path("/proc/driver/nvidia/version").exists() or sys.platform == "darwin":
        return 1
    return min(MOST, len(os.sched_getaffinity(0)))


def waiting_for(stages: Sequence[Stage]) -> dict[str, int]:
    """How many of ``stages`` (producers first) read each of them, at first or at second hand."""
    below: dict[str, set[str]] = {stage.name: set() for stage in stages}
    for stage in reversed(stages):
        for source in stage.sources():
            if source.stage in below:
                below[source.stage] |= {stage.name} | below[stage.name]
    return {name: len(readers) for name, readers in below.items()}


def batches(ready: Sequence[Stage], readers: Mapping[str, int], free: int, count: int) -> list[list[str]]:
    """What to start now, in up to ``free`` processes of ``count``: stages that many wait for first, small ones together."""
    names = sorted((stage.name for stage in ready), key=lambda name: -readers[name])
    found: list[list[str]] = []
    while names and len(found) < free:
        small = readers[names[0]] < 2
        take = min(BATCH, -(-len(names) // count)) if small else 1
        found.append(names[:take])
        del names[:take]
    return found


def closure(stages: Sequence[Stage], targets: Sequence[str]) -> list[Stage]:
    """``targets`` and all that they read; everything without targets."""
    if not targets:
        return list(stages)
    wanted = set(targets)
    for stage in reversed(stages):
        if stage.name in wanted:
            wanted |= {source.stage for source in stage.sources()}
    return [stage for stage in stages if stage.name in wanted]


@dataclass
class Jobs:
    """Runs the stale ones among ``stages`` (producers first), up to ``count`` at once.

    A stage that fails takes those that read it with it, and no others. Interrupted, it waits for the running stages,
    which save their state, and starts no more.
    """

    root: Path
    stages: Sequence[Stage]
    count: int
    environment: Mapping[str, str]
    _printing: Lock = field(default_factory=Lock)

    def run(self) -> int:
        """Returns DVC's exit status: 0 when all went well, else that of a stage that failed."""
        if status := self._dvc(_COMPILE):
            return status
        known, readers = {stage.name for stage in self.stages}, waiting_for(self.stages)
        waiting, done, failed = list(self.stages), set[str](), 0
        running: dict[Future[int], list[str]] = {}
        with ThreadPoolExecutor(self.count) as pool:
            try:
                while waiting or running:
                    ready = [s for s in waiting if all(x.stage in done or x.stage not in known for x in s.sources())]
                    current = self._current() if ready else set()
                    if fresh := {stage.name for stage in ready} & current:
                        done |= fresh
                        waiting = [stage for stage in waiting if stage.name not in fresh]
                        continue  # others may be ready now
                    for names in batches(ready, readers, self.count - len(running), self.count):
                        waiting = [stage for stage in waiting if stage.name not in names]
                        running[pool.submit(self._dvc, *names)] = names
                    if not running:
                        break  # all that is left waits for something that failed
                    for future in wait(running, return_when=FIRST_COMPLETED).done:
                        names, status = running.pop(future), future.result()
                        done |= set(names) & self._current() if status else set(names)
                        failed = failed or status
            except KeyboardInterrupt:  # it reached the running stages too; leaving the pool waits for them
                print("interrupted: the running stages save their state, and no more are started", file=sys.stderr)
                return 128 + signal.SIGINT
        for stage in waiting:
            print(f"{stage.name} was not run, as a stage that it reads failed", file=sys.stderr)
        return failed

    def _current(self) -> set[str]:
        """Stages that are up to date."""
        return {found.stage.name for found in states(self.root, self.stages) if found.status == "cached"}

    def _dvc(self, *names: str) -> int:
        """Bring stages up to date, one after another, with every line that is printed marked with its stage."""
        command = [sys.executable, "-m", "dvc", "--wait-for-lock", "repro", "--single-item", "--keep-going", *names]
        process = subprocess.Popen(
            command, cwd=self.root, env=dict(self.environment), text=True, errors="replace",
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip
        label = names[0]
        for line in process.stdout:
            if begun := re.match(r"Running stage '([^']+)'", line):
                label = begun[1]
            if _tells(line):
                with self._printing:
                    print(f"[{label.split('.', 1)[-1]}] {line}", end="", flush=True)
        return process.wait()


def _tells(line: str) -> bool:
    """Whether a line of DVC's output is of use where many of its processes speak: its commands and hints are not."""
    hints = ("> ", "\tgit add", "\tdvc config", "Generating lock", "Updating lock", "To track", "To enable", "Use `dvc push`")
    return bool(line.strip()) and not line.startswith(hints)
