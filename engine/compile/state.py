"""The state of every stage of a plan: up to date, or what will run and why. Reads ``dvc.lock`` and runs nothing."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Mapping, Sequence

from engine.compile.plan import Stage
from engine.run.home import state as state_path

Status = Literal["cached", "stale", "new", "waits", "always"]


@dataclass(frozen=True)
class StageState:
    """``status`` and the reasons for it: changed keys, definitions and inputs."""

    stage: Stage
    status: Status
    reasons: tuple[str, ...] = ()


def states(root: Path, stages: Sequence[Stage]) -> list[StageState]:
    """State of each stage, in the order given (producers first)."""
    lock = read_lock(root)
    last = LastRuns()
    found: dict[str, StageState] = {}
    for stage in stages:
        found[stage.name] = _state(root, stage, lock, found, last)
    return list(found.values())


def read_lock(root: Path) -> Mapping[str, Any]:
    """Stage name -> what DVC noted when it last ran it."""
    path = root / "dvc.lock"
    if not path.exists():
        return {}
    from ruamel.yaml import YAML

    return (YAML(typ="safe").load(path.read_text(encoding="utf-8")) or {}).get("stages", {})


def _state(root: Path, stage: Stage, lock: Mapping[str, Any], found: Mapping[str, StageState], last: LastRuns) -> StageState:
    upstream = [s.stage for s in stage.sources()]
    entry = lock.get(stage.name)
    if entry is None:
        return StageState(stage, "new", ("has never run here",))
    reasons: list[str] = []
    locked = {d["path"]: d.get("md5") for d in entry.get("deps", [])}
    if locked.get(stage.file) != hashlib.md5(stage.text().encode(), usedforsecurity=False).hexdigest():
        reasons += last.differences(stage) or ["its configuration or code changed"]
    made = {o["path"]: o.get("md5") for name in upstream for o in lock.get(name, {}).get("outs", [])}
    for source in stage.sources():
        if source.path not in locked:
            reasons.append(f"reads {source.path} now")
        elif made.get(source.path) != locked[source.path]:
            reasons.append(f"input {source.path} has new content")
    for path in (stage.output.path, stage.output.metrics.path):
        if not (root / path).exists():
            reasons.append(f"{path} is not in the workspace (DVC's cache may have it)")
    if stage.always_changed:
        return StageState(stage, "always", ("looks at the data each time", *reasons))
    if reasons:
        return StageState(stage, "stale", tuple(reasons))
    if waiting := [name for name in upstream if found[name].status in ("stale", "new", "waits")]:
        return StageState(stage, "waits", (f"if {', '.join(dict.fromkeys(waiting))} changes",))
    return StageState(stage, "cached")


class LastRuns:
    """Stage files of the latest finished executions, from the run records."""

    def __init__(self) -> None:
        self._folders = sorted(state_path("runs").glob("*/run.json"), reverse=True)
        self._files: dict[str, dict[str, Any]] | None = None

    def differences(self, stage: Stage) -> list[str]:
        """What differs between the stage file of the latest execution and the one of now."""
        if self._files is None:
            self._files = {}
            for path in self._folders:
                header = json.loads(path.read_text(encoding="utf-8"))
                if "stage_file" in header:
                    self._files.setdefault(header["stage"], header["stage_file"])
        old = self._files.get(stage.name)
        return differences(old, stage.content) if old else []


def differences(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
    """Sentences for every key, input and definition that differs between two stage files."""
    found = [
        f"{key}: {_word(before)} -> {_word(after)}"
        for key, before, after in _compare(old["config"], new["config"], "")
    ]
    found += [f"input {key}: {_word(b)} -> {_word(a)}" for key, b, a in _compare(old["inputs"], new["inputs"], "")]
    if old["seed"] != new["seed"]:
        found.append(f"seed: {old['seed']} -> {new['seed']}")
    if old["code"]["runtime"] != new["code"]["runtime"]:
        found.append("the engine's runtime version changed")
    before, after = old["code"]["parts"], new["code"]["parts"]
    for module in sorted({*before, *after}):
        b, a = before.get(module, {}), after.get(module, {})
        for name in sorted({*b, *a}):
            if b.get(name) != a.get(name):
                verb = "added" if name not in b else "removed" if name not in a else "changed"
                found.append(f"{verb} {module}.{name}" if name != "<module>" else f"changed statements of {module}")
    return found


_ABSENT = object()


def _compare(old: Any, new: Any, key: str) -> list[tuple[str, Any, Any]]:
    if isinstance(old, Mapping) and isinstance(new, Mapping):
        below = []
        for name in [*old, *(n for n in new if n not in old)]:
            below += _compare(old.get(name, _ABSENT), new.get(name, _ABSENT), f"{key}.{name}" if key else name)
        return below
    return [] if old == new else [(key or "all", old, new)]


def _word(value: Any) -> str:
    if value is _ABSENT:
        return "(absent)"
    text = json.dumps(value)
    return text if len(text) <= 60 else text[:57] + "..."
