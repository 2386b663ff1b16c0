"""``vidspec repro``: edit the knobs, compile, then DVC's own command; afterwards every stage has its record."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Iterator, Literal, Sequence

from engine.compile.main import MANY_STAGES, write
from engine.compile.plan import Stage
from engine.compile.state import states
from engine.errors import UserError
from engine.jobs import Jobs, closure
from engine.report.stage import published
from engine.run.home import home, state
from engine.run.local import load_local
from engine.spec.load import PARAMS
from engine.spec.source import Path_, edit_yaml, read_yaml
from engine.track.cached import record_cached
from engine.track.facts import facts
from engine.track.repro import COMMAND, Repro, repro_process

Where = Literal["workspace", "temp", "queue"]
COMPILED = ("dvc.yaml", PARAMS)
"""Tracked files that an experiment changes in the workspace before DVC takes them over."""


def parse_setting(text: str) -> tuple[Path_, Any]:
    """``demo.epochs=3`` -> (("demo", "epochs"), 3); the value is YAML. Raises UserError when there is no ``=``."""
    key, equals, value = text.partition("=")
    if not equals or not re.fullmatch(r"[A-Za-z][\w-]*(\.[A-Za-z][\w-]*)*", key):
        raise UserError(f"-S {text}: write it as spec.knob=value, for example -S demo.epochs=3")
    from ruamel.yaml import YAML
    from ruamel.yaml.error import YAMLError

    try:
        return tuple(key.split(".")), YAML(typ="safe", pure=True).load(value)
    except YAMLError as error:
        raise UserError(f"-S {text}: {value!r} is not valid YAML: {str(error).splitlines()[0]}") from None


@dataclass(frozen=True)
class Done:
    """How a run of DVC ended: exit status, the process that it was, and the stages of the plan."""

    status: int
    process: Repro | None
    stages: list[Stage]


def run_dvc(
    root: Path, settings: Sequence[str], where: Where, targets: Sequence[str], name: str | None = None, jobs: int = 1
) -> Done:
    """Edit the knobs, compile, and run DVC; with ``jobs`` above 1 so many stages at once, in the workspace only.

    In a temporary or queued experiment the workspace's own ``params.yaml`` and ``dvc.yaml`` are put back as they were.
    """
    changes = dict(parse_setting(s) for s in settings)
    before = {file: (root / file).read_bytes() if (root / file).exists() else None for file in COMPILED}
    try:
        if changes:
            _check_knobs(root, changes)
            edit_yaml(root / PARAMS, changes)
        try:
            stages, _ = write(root)
        except BaseException:
            _restore(root, before)  # an edit that does not compile leaves no trace
            raise
        if len(stages) > MANY_STAGES:
            print(f"warning: {len(stages)} stages; DVC gets slow beyond {MANY_STAGES}: select fewer specs at a time", file=sys.stderr)
        environment, identity, status = dvc_environment(), None, 0
        if jobs > 1 and where == "workspace":
            environment[COMMAND] = str(os.getpid())
            identity = repro_process(os.getpid())
            status = Jobs(root, closure(stages, targets), jobs, shared_cores(environment, jobs)).run()
        if status == 0:  # after jobs, DVC has the last word on whether all is up to date
            quiet = identity is not None
            command = dvc_command(where, bool(changes), targets, name, quiet)
            process = subprocess.Popen(command, cwd=root, env=environment)
            identity = identity or repro_process(process.pid)
            status = wait(process)
    finally:
        if where != "workspace":
            _restore(root, before)
    if where != "workspace":
        write(root)
    return Done(status, identity, stages)


def record_cache_hits(root: Path, done: Done) -> None:
    """Give every stage that had nothing to do its record in this run, so that MLflow shows the study whole."""
    key = done.process.key if done.process else None
    ran = {h["stage"] for h in headers() if h.get("repro", {}).get("key") == key}
    common = facts(root)
    for found in states(root, done.stages):
        stage = found.stage
        if stage.name in ran or found.status != "cached":
            continue
        metrics = json.loads((root / stage.output.metrics.path).read_text(encoding="utf-8"))
        artifacts = published(root / stage.output.path) if stage.kind == "report" else {}
        record_cached(home(), stage.content, metrics, done.process, artifacts, common)


def headers() -> Iterator[dict[str, Any]]:
    """Headers of all records, newest first."""
    for path in sorted(state("runs").glob("*/run.json"), reverse=True):
        yield json.loads(path.read_text(encoding="utf-8"))


def dvc_command(
    where: Where, experiment: bool, targets: Sequence[str], name: str | None, quiet: bool = False
) -> list[str]:
    """DVC's command line: ``repro``, or ``exp run`` for what is to be kept as an experiment.

    quiet: without a line for every stage that is up to date.
    """
    dvc = [sys.executable, "-m", "dvc"]
    named = [*(["--quiet"] if quiet else []), *(["--name", name] if name else [])]
    if where == "queue":
        return [*dvc, "exp", "run", "--queue", *named, *targets]
    if where == "temp":
        return [*dvc, "exp", "run", "--temp", "--keep-going", *named, *targets]
    if experiment or name:
        return [*dvc, "exp", "run", "--keep-going", *named, *targets]
    return [*dvc, "repro", "--keep-going", *named, *targets]


def dvc_environment() -> dict[str, str]:
    """The environment, with this interpreter's folder first in PATH: stages call ``python``."""
    folder = str(Path(sys.executable).parent)
    path = os.environ.get("PATH", "")
    return {**os.environ, "PATH": f"{folder}{os.pathsep}{path}", "DVC_NO_ANALYTICS": "true", "DO_NOT_TRACK": "1"}


def shared_cores(environment: dict[str, str], jobs: int) -> dict[str, str]:
    """The environment of one of several stages that run at once: each has its part of the cores, if nothing else is set."""
    if "VIDSPEC_THREADS" in environment or load_local().threads:
        return environment
    return {**environment, "VIDSPEC_THREADS": str(max(1, len(os.sched_getaffinity(0)) // jobs))}


def wait(process: subprocess.Popen[bytes]) -> int:
    """Wait for a process to end; Ctrl-C reaches it by itself, and it is given the time to end well."""
    while True:
        try:
            return process.wait()
        except KeyboardInterrupt:
            continue


def _check_knobs(root: Path, changes: dict[Path_, Any]) -> None:
    """Only what ``params.yaml`` is for may be set: ``specs``, and knobs of specs."""
    tree = read_yaml(root / PARAMS)
    for keys in changes:
        if keys != ("specs",) and len(keys) != 2:
            raise UserError(f"-S {'.'.join(keys)}=...: params.yaml holds `specs` and knobs named spec.knob")
        if len(keys) == 2 and not isinstance(tree.data.get(keys[0], {}), dict):
            raise UserError(f"params.yaml: {keys[0]} is not a mapping of knobs")


def _restore(root: Path, before: dict[str, bytes | None]) -> None:
    for file, content in before.items():
        path = root / file
        if content is None:
            path.unlink(missing_ok=True)
        elif path.read_bytes() != content:
            partial = path.with_name(f".{file}.partial")
            partial.write_bytes(content)
            os.replace(partial, path)
