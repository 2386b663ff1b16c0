"""One record written to MLflow: as far as it has come, each time from where the last call ended.

Everything sent is the same when it is sent twice (points carry the time of their event, runs are found by a tag), so that
a crash between sending and noting it does no harm.
"""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Iterator, Mapping

from engine.track.curves import shown_at_end, shown_while_running
from engine.track.parents import parent_run, show_at_parent
from engine.track.record import read_events
from engine.track.store import Store, flatten, milliseconds
from engine.track.tables import is_table, with_table

STATUS = {"finished": "FINISHED", "failed": "FAILED", "killed": "KILLED"}


@dataclass
class State:
    """How far a record has been written to one store; kept beside the record as ``mirror.json``."""

    experiment: str = ""
    run: str = ""
    parent: str = ""
    offset: int = 0
    counts: dict[str, int] = field(default_factory=dict)  # curve -> points read
    status: str = ""  # of the end, once everything has been sent
    parent_ended: bool = False


def load_state(record: Path, store: str) -> State:
    """The state of a record towards a store; a new one if there is none."""
    return State(**_states(record).get(store, {}))


def save_state(record: Path, store: str, state: State) -> None:
    """Note the state; a kill leaves the old or the new one."""
    text = json.dumps({**_states(record), store: asdict(state)}, indent=1)
    partial = record / f".mirror.{os.getpid()}"
    partial.write_text(text, encoding="utf-8")
    os.replace(partial, record / "mirror.json")


def _states(record: Path) -> dict[str, Any]:
    try:
        return json.loads((record / "mirror.json").read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}


def replay(record: Path, store: Store, dead: bool) -> State:
    """Send what is new in a record; ``dead``: its process was gone before this call.

    A record without an end whose process is gone ends as killed. Raises what MLflow raises.
    """
    state = load_state(record, store.identity)
    if state.status:
        return state
    header = json.loads((record / "run.json").read_text(encoding="utf-8"))
    if not state.run:
        _begin(record, header, store, state)
        save_state(record, store.identity, state)
    events, offset = read_events(record, state.offset)
    store.log(state.run, _new_points(events, state.counts))
    for event in events:
        if event["event"] in ("picture", "artifact"):
            _send_file(record, event, header, store, state)
    end = next((e for e in events if e["event"] == "end"), None)
    if end is None and dead:
        end = {"status": "killed", "time": events[-1]["time"] if events else header.get("time", 0)}
    if end is not None:
        _finish(record, header, end, store, state)
        state.status = STATUS.get(end["status"], "FAILED")
    if events or end:
        state.offset = offset
        save_state(record, store.identity, state)
    return state


def _begin(record: Path, header: Mapping[str, Any], store: Store, state: State) -> None:
    state.experiment = store.experiment(header["study"])
    state.parent = parent_run(header, store)
    state.run = store.find_run(state.experiment, "vidspec.record", record.name) or ""
    if not state.run:
        name = header["stage"].removeprefix(f"{header['study']}.")
        tags = {"vidspec.record": record.name, "mlflow.parentRunId": state.parent}
        run = store.client.create_run(
            state.experiment, start_time=milliseconds(header["time"]), tags=tags, run_name=name
        )
        state.run = run.info.run_id
    store.log(state.run, params=run_params(header), tags=run_tags(header))
    store.log_inputs(state.run, header.get("inputs") or {})
    store.client.log_artifact(state.run, str(record / "run.json"))
    if diff := (header.get("git") or {}).get("diff"):
        store.client.log_text(state.run, diff, "code.diff")


def run_params(header: Mapping[str, Any]) -> dict[str, Any]:
    """The resolved configuration, flat, and what the bits of a result depend on besides."""
    config = (header.get("stage_file") or {}).get("config") or {}
    rest = {k: header[k] for k in ("seed", "threads", "determinism", "device") if header.get(k) is not None}
    return {**rest, **{k: v if isinstance(v, str) else json.dumps(v) for k, v in flatten(config)}}


def run_tags(header: Mapping[str, Any]) -> dict[str, str]:
    """What a run is and where it ran, in the words that the UI knows where it has some."""
    git, hardware = header.get("git") or {}, header.get("hardware") or {}
    tags = {
        "mlflow.source.name": f"engine.run {header['stage']}",
        "mlflow.source.type": "LOCAL",
        "mlflow.source.git.commit": git.get("commit"),
        "mlflow.source.git.branch": git.get("branch"),
        "mlflow.user": header.get("user"),
        "vidspec.stage": header["stage"],
        "vidspec.kind": header.get("kind"),
        "vidspec.key": header.get("key"),
        "cached": "true" if header.get("cached") else None,
        "dvc.experiment": header.get("experiment"),
        "code": "as committed" if git.get("commit") and not git.get("diff") else "changed since the commit",
        "host": header.get("host"),
        "cpu": hardware.get("cpu"),
        "gpu": ", ".join(hardware.get("gpus") or ()),
    }
    return {key: str(value) for key, value in tags.items() if value}


def _new_points(events: list[dict[str, Any]], counts: dict[str, int]) -> list[tuple[str, float, float, int]]:
    points = []
    for name, value, event in _curve_points(events):
        index = counts.get(name, 0)
        counts[name] = index + 1
        if shown_while_running(index):
            points.append((name, value, event["time"], event["step"]))
    return points


def _curve_points(events: list[dict[str, Any]]) -> Iterator[tuple[str, float, dict[str, Any]]]:
    for event in events:
        if event["event"] == "log":
            for name, value in event["values"].items():
                yield name, value, event


def _send_file(
    record: Path, event: Mapping[str, Any], header: Mapping[str, Any], store: Store, state: State
) -> None:
    file = record / event["file"]
    folder = str(Path(event["file"]).parent)
    runs = [state.run, state.parent] if event.get("parent") else [state.run]
    for run in runs:
        store.client.log_artifact(run, str(file), None if folder == "." else folder)
        if is_table(file):
            tags = store.client.get_run(run).data.tags
            store.log(run, tags=with_table(tags, event["file"]))
    if event.get("parent"):
        show_at_parent(file, header, store, state.parent)


def _finish(
    record: Path, header: Mapping[str, Any], end: Mapping[str, Any], store: Store, state: State
) -> None:
    events, _ = read_events(record)
    lengths, seen = dict(state.counts), dict.fromkeys(state.counts, 0)
    missing = []
    for name, value, event in _curve_points(events):
        index = seen[name]
        seen[name] = index + 1
        if shown_at_end(index, lengths[name]) and not shown_while_running(index):
            missing.append((name, value, event["time"], event["step"]))
    store.log(state.run, missing)
    numbers, words = results(end.get("metrics") or {})
    final = {f"result/{k}" if k in lengths else k: v for k, v in numbers.items()}
    points = [(k, v, end["time"], 0) for k, v in final.items()]
    store.log(state.run, points, tags=words)
    if any(e.get("parent") for e in events):  # a report: its numbers become columns of the list of repros
        store.log(state.parent, points)
    said = [f"{e['level']}: {e['text']}" for e in events if e["event"] == "message"]
    if end.get("error"):
        said.append(f"error: {end['error']}")
        store.log(state.run, tags={"error": str(end["error"]).strip().splitlines()[-1]})
    if said:
        store.client.log_text(state.run, "\n".join(said) + "\n", "messages.txt")
    store.client.set_terminated(state.run, STATUS.get(end["status"], "FAILED"), milliseconds(end["time"]))


def results(metrics: Mapping[str, Any]) -> tuple[dict[str, float], dict[str, str]]:
    """Numbers and words of a metrics.json, flat; of ``seeds`` also the mean over the seeds, under its own name."""
    numbers: dict[str, float] = {}
    words: dict[str, str] = {}
    for name, value in flatten({k: v for k, v in metrics.items() if k != "seeds"}, joint="/"):
        if isinstance(value, (int, float)) and not isinstance(value, bool):
            numbers[name] = value
        elif isinstance(value, str):
            words[name] = value
    seeds: dict[str, list[float]] = {}
    for seed, values in (metrics.get("seeds") or {}).items():
        for name, value in flatten(values, joint="/"):
            if isinstance(value, (int, float)) and not isinstance(value, bool):
                numbers[f"seed_{seed}/{name}"] = value
                seeds.setdefault(name, []).append(value)
    return {**numbers, **{name: sum(v) / len(v) for name, v in seeds.items()}}, words
