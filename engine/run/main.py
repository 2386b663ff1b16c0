"""One stage from start to finish: the only entry, for every kind of stage."""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import sys
import time
import traceback
import uuid
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Iterator, Mapping, Sequence

from pydantic import ValidationError

from engine.compile.fingerprint import code_of
from engine.errors import UserError
from engine.run.checkpoint import Checkpoints, Stopped
from engine.run.context import Context
from engine.run.digest import content_digest, execution_key
from engine.run.home import home, state
from engine.run.local import Local, load_local
from engine.run.processes import stop_when_gone
from engine.spec.component import StageConfig
from engine.spec.discover import config_class, stage_module
from engine.track.facts import facts
from engine.track.mirror import ensure_mirror
from engine.track.record import Record
from engine.track.repro import repro_process


@dataclass(frozen=True)
class StageFile:
    """A stage file, checked against the code that is here now."""

    text: str
    content: Mapping[str, Any]
    config: StageConfig
    inputs: Mapping[str, Path | tuple[Path, ...]]

    @property
    def name(self) -> str:
        return self.content["stage"]

    @property
    def out(self) -> Path:
        study, local = self.name.split(".", 1)
        return Path("results", study, local)

    def input_paths(self) -> list[Path]:
        return [p for v in self.inputs.values() for p in (v if isinstance(v, tuple) else (v,))]


def main(arguments: Sequence[str] | None = None) -> int:
    """Entry of ``python -m engine.run STAGE``; returns the exit status."""
    arguments = sys.argv[1:] if arguments is None else list(arguments)
    if len(arguments) != 1 or arguments[0].startswith("-"):
        print("usage: python -m engine.run STAGE   (stages: see `vidspec plan`)", file=sys.stderr)
        return 2
    try:
        run_stage(arguments[0])
    except UserError as error:
        print(f"{arguments[0]}: {error}", file=sys.stderr)
        return 1
    return 0


def run_stage(name: str) -> None:
    """Run one stage in the checkout that is the working directory, and publish its outputs.

    Raises UserError for what a person can mend, and Stopped when it was asked to stop.
    """
    stage = read_stage_file(name)
    local = with_resources(load_local(), stage.name)
    pin_threads(local)
    digests = {p.as_posix(): content_digest(p) for p in stage.input_paths()}
    key = execution_key(stage.text, digests)
    with only_one(key, name):
        record = Record(state("runs", run_id(name)), header(stage, local, digests, key))
        if local.mlflow:
            ensure_mirror(home())
        checkpoints = Checkpoints(state("checkpoints", key), local.checkpoint_steps)
        checkpoints.listen()
        if above := repro_process():
            stop_when_gone(above.pid, above.started)
        partial = stage.out.with_name(f".{stage.out.name}.partial")
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir(parents=True)
        context = Context(
            name=stage.name,
            seed=stage.content["seed"],
            inputs=stage.inputs,
            out=partial,
            local=local,
            record=record,
            checkpoints=checkpoints,
        )
        try:
            metrics = stage_module(stage.content["kind"]).run(stage.config, context)
            context.write_curves()
            publish(partial, stage.out, metrics)
        except Stopped:
            record.end("killed")
            raise
        except UserError as error:
            record.end("failed", error=str(error))
            raise
        except BaseException:
            record.end("failed", error=traceback.format_exc())
            raise
        record.end("finished", metrics)
        checkpoints.clear()


def read_stage_file(name: str) -> StageFile:
    """Read ``plan/<name>.json``. Raises UserError if it is missing, older than the code, or lacks its inputs."""
    path = Path("plan", f"{name}.json")
    if not path.exists():
        raise UserError(f"there is no {path}: run `vidspec compile` (or `dvc repro`, which does it), or check the name")
    text = path.read_text(encoding="utf-8")
    content = json.loads(text)
    code = code_of(content["kind"])
    if code["digest"] != content["code"]["digest"] or code["runtime"] != content["code"]["runtime"]:
        changed = ", ".join(changed_definitions(content["code"]["parts"], code["parts"])) or "the engine's runtime"
        raise UserError(f"the code has changed since {path} was compiled ({changed}): run `dvc repro` or `vidspec compile`")
    try:
        config = config_class(content["kind"]).model_validate_json(json.dumps(content["config"]), strict=True)
    except ValidationError as error:
        raise UserError(f"{path} does not fit the code: run `vidspec compile` ({error.errors()[0]['msg']})") from None
    inputs = {r: tuple(map(Path, v)) if isinstance(v, list) else Path(v) for r, v in content["inputs"].items()}
    stage = StageFile(text, content, config, inputs)
    if missing := [str(p) for p in stage.input_paths() if not p.exists()]:
        raise UserError(f"inputs are missing: {', '.join(missing)}. `dvc repro {name}` makes them first")
    return stage


def changed_definitions(old: Mapping[str, Mapping[str, str]], new: Mapping[str, Mapping[str, str]]) -> list[str]:
    """``stages.nn.losses:infonce`` for every definition that differs, was added or was removed."""
    found = []
    for module in sorted({*old, *new}):
        before, after = old.get(module, {}), new.get(module, {})
        found += [f"{module}:{n}" for n in sorted({*before, *after}) if before.get(n) != after.get(n)]
    return found


def with_resources(local: Local, stage: str) -> Local:
    """The machine's settings, with what the spec asks for where the machine says nothing."""
    path = Path("plan", "resources.json")
    wanted = json.loads(path.read_text()).get(stage.split(".", 1)[0], {}) if path.exists() else {}
    if local.device != "auto":
        wanted.pop("device", None)
    unset = {k: v for k, v in wanted.items() if k == "device" or getattr(local, k) is None}
    return local.model_copy(update=unset)


def pin_threads(local: Local) -> None:
    """Fix the number of CPU threads before NumPy and torch are imported: it is part of the bits of a result.

    torch gets them. NumPy gets one: on matrices as small as a probe's, OpenBLAS is ten times slower with two.
    While they wait for each other they spin for some microseconds and then sleep, unless the user says otherwise: as
    long as GNU's OpenMP spins by itself, a step takes five to ten times as long while other programs want all cores.
    """
    threads = local.threads or len(os.sched_getaffinity(0))
    for variable in ("OMP_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ[variable] = str(threads)
    os.environ["OPENBLAS_NUM_THREADS"] = "1"
    if "OMP_WAIT_POLICY" not in os.environ:
        os.environ.setdefault("GOMP_SPINCOUNT", "10000")
    if local.determinism == "strict":
        os.environ["CUBLAS_WORKSPACE_CONFIG"] = ":4096:8"


@contextmanager
def only_one(key: str, name: str) -> Iterator[None]:
    """Hold the lock of one unit of work; wait while another process does the same work (in any checkout)."""
    path = state("locks", f"{key}.lock")
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            print(f"{name}: the same work is being done by another process; waiting for it", file=sys.stderr, flush=True)
            fcntl.flock(file, fcntl.LOCK_EX)
        yield


def publish(partial: Path, out: Path, metrics: Mapping[str, Any]) -> None:
    """Write metrics and move the outputs to their final names; a kill leaves the old state or the new one."""
    text = json.dumps(metrics, indent=1, sort_keys=True, allow_nan=False) + "\n"
    for path in partial.rglob("*"):
        if path.is_file():
            sync_file(path)
    if out.exists():
        shutil.rmtree(out)
    os.replace(partial, out)
    target = out.with_name(f"{out.name}.metrics.json")
    waiting = target.with_name(f".{target.name}.partial")
    waiting.write_text(text, encoding="utf-8")
    sync_file(waiting)
    os.replace(waiting, target)


def sync_file(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def run_id(name: str) -> str:
    """Sorts by time, says what it is, and is unique."""
    return f"{time.strftime('%Y%m%d-%H%M%S')}-{name}-{uuid.uuid4().hex[:6]}"


def header(stage: StageFile, local: Local, digests: Mapping[str, str], key: str) -> dict[str, Any]:
    """First part of the record: what is run, and on what."""
    return {
        "stage": stage.name,
        "study": stage.name.split(".", 1)[0],
        "kind": stage.content["kind"],
        "seed": stage.content["seed"],
        "stage_file": stage.content,
        "inputs": dict(digests),
        "key": key,
        "threads": int(os.environ["OMP_NUM_THREADS"]),
        "determinism": local.determinism,
        "device": local.device,
        **facts(),
    }
