"""Several stages at once: stages whose inputs are there are handed to DVC, one ``dvc repro --single-item`` each.

DVC itself runs one stage after another, and one stage seldom keeps all cores busy. Its locks allow several of its
processes in a checkout; which stage may run when is decided here.
"""

from __future__ import annotations

import os
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

_COMPILE = "compile"


def default_jobs() -> int:
    """One stage at once where there is a GPU, as they would share its memory; else one for each core, up to MOST."""
    if Path("/proc/driver/nvidia/version").exists() or sys.platform == "darwin":
        return 1
    return min(MOST, len(os.sched_getaffinity(0)))


def in_order(stages: Sequence[Stage]) -> list[Stage]:
    """Stages that many others wait for come first; else as they are."""
    below: dict[str, set[str]] = {stage.name: set() for stage in stages}
    for stage in reversed(stages):
        for source in stage.sources():
            if source.stage in below:
                below[source.stage] |= {stage.name} | below[stage.name]
    return sorted(stages, key=lambda stage: -len(below[stage.name]))


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
    _running: set[subprocess.Popen[str]] = field(default_factory=set)

    def run(self) -> int:
        """Returns DVC's exit status: 0 when all went well, else that of a stage that failed."""
        if status := self._dvc(_COMPILE, _COMPILE):
            return status
        waiting, done, failed = in_order(self.stages), set(), {}
        known = {stage.name for stage in self.stages}
        with ThreadPoolExecutor(self.count) as pool:
            running: dict[Future[int], str] = {}
            try:
                while waiting or running:
                    ready = [s for s in waiting if all(x.stage in done or x.stage not in known for x in s.sources())]
                    current = {x.stage.name for x in states(self.root, self.stages) if x.status == "cached"} if ready else set()
                    for stage in ready:
                        if stage.name in current:
                            waiting.remove(stage)
                            done.add(stage.name)
                        elif len(running) < self.count:
                            waiting.remove(stage)
                            local = stage.name.split(".", 1)[1]
                            running[pool.submit(self._dvc, stage.name, local)] = stage.name
                    if current.intersection(stage.name for stage in ready):
                        continue  # others may be ready now
                    if not running:
                        break  # all that is left waits for something that failed
                    for future in wait(running, return_when=FIRST_COMPLETED).done:
                        name = running.pop(future)
                        status = future.result()
                        if status:
                            failed[name] = status
                        else:
                            done.add(name)
            except KeyboardInterrupt:
                self._end()
                raise
        for stage in waiting:
            print(f"{stage.name} was not run, as a stage that it reads failed", file=sys.stderr)
        return next(iter(failed.values()), 0)

    def _dvc(self, stage: str, label: str) -> int:
        """Bring one stage up to date, with every line that it prints marked as its own."""
        command = [sys.executable, "-m", "dvc", "--wait-for-lock", "repro", "--single-item", stage]
        process = subprocess.Popen(
            command, cwd=self.root, env=dict(self.environment), text=True, errors="replace",
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip
        self._running.add(process)
        for line in process.stdout:
            if _tells(line):
                with self._printing:
                    print(f"[{label}] {line}", end="", flush=True)
        self._running.discard(process)
        return process.wait()

    def _end(self) -> None:
        """Ctrl-C reaches the running stages by itself; a signal that came here alone is passed on."""
        for process in list(self._running):
            process.send_signal(signal.SIGINT)


def _tells(line: str) -> bool:
    """Whether a line of DVC's output is of use where many of its processes speak: its commands and hints are not."""
    hints = ("> ", "\tgit add", "\tdvc config", "Generating lock", "Updating lock", "To track", "To enable", "Use `dvc push`")
    return bool(line.strip()) and not line.startswith(hints)
