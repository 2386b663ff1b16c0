"""Compute the optical flow of every video whose flow is not in the store yet, and write the index of flows."""

from __future__ import annotations

import errno
from typing import Any

import numpy as np

from engine.errors import UserError
from engine.run.context import Context
from stages.flow.cost import missing, pairs_of, seconds_of, stored_bytes
from stages.flow.keys import keys_of
from stages.flow.pictures import flow_examples, histogram
from stages.flow.portions import portions
from stages.flow.spec import Config
from stages.flow.work import Item, Measures, Portion
from stages.video.clips import Clips
from stages.video.flow_spec import Raft
from stages.video.flows import Flows, FlowShelf
from stages.video.listing import Trouble, write_parquet, write_problems
from stages.video.loader import cores
from stages.video.room import check_room, size_text
from stages.video.shards import Place, places
from stages.video.workers import do_all

IN_PROCESS_SECONDS = 20.0
"""Work of one core that is not worth starting processes for."""
CLIPPED_LIMIT = 0.01
BROKEN_LIMIT = 0.05
"""Shares at which there is a warning, and a failure."""


def run(config: Config, context: Context) -> dict[str, Any]:
    """Write ``flow.parquet``, ``flow.json``, ``problems.csv`` and pictures; the flow itself goes to the store."""
    clips = Clips.open(context.input("clips"), context)
    shelf = FlowShelf.of(clips.source.frames_key, config.algorithm, config.bound, config.storage)
    keys = keys_of(clips, config.algorithm, context.local)
    problems = _compute(clips, keys, config, shelf, context)

    packed = places(context.store, shelf, keys)
    troubles = [Trouble(path, problems[key]) for path, key in zip(clips.paths, keys) if key not in packed]
    write_problems(context.out, troubles)
    _judge(troubles, len(clips), context)
    shelf.write(context.out)
    _write_index(clips, keys, packed, problems, context)

    flows = Flows.open(context.out, clips, context)
    context.picture("flow", flow_examples(clips, flows))
    context.picture("histogram", histogram(clips, flows))
    measured = {path: Measures.from_note(packed[key].note) for path, key in zip(clips.paths, keys) if key in packed}
    vectors = sum(m.vectors for m in measured.values())
    clipped = sum(m.clipped for m in measured.values()) / vectors
    if clipped > CLIPPED_LIMIT:
        worst = max(measured, key=lambda path: measured[path].clipped / measured[path].vectors)
        share = measured[worst].clipped / measured[worst].vectors
        context.warn(
            f"{clipped:.1%} of all vectors are longer than bound ({config.bound:g} px) and were cut, the greatest share in {worst} "
            f"({share:.1%}; all in flow.parquet): raise the view's bound, or make the frames smaller (pack.short_side)"
        )
    return {
        "videos": len(measured),
        "broken": len(troubles),
        "fields": sum(m.fields for m in measured.values()),
        "mean_magnitude_px": sum(m.length for m in measured.values()) / vectors,
        "clipped_share": clipped,
        "storage_error_px": sum(m.error for m in measured.values()) / (2 * vectors),
        "store_bytes": sum(place.bytes for place in packed.values()),
    }


def _compute(clips: Clips, keys: list[str], config: Config, shelf: FlowShelf, context: Context) -> dict[str, str]:
    """Compute what is not in the store; returns the videos without flow (by key), and why."""
    pairs = pairs_of(clips.frames)
    todo = np.flatnonzero(missing(context.store, shelf, keys))
    context.say(f"flow of {len(todo)} of {len(clips)} videos to compute, kept in {shelf.folder(context.store)}")
    if not len(todo):
        return {}
    needed = stored_bytes(pairs[todo], clips.sizes[todo], shelf.kind)
    check_room(context.store, needed, "flow fields", "in the spec's view choose `storage: {kind: jpeg}`, or a smaller pack.short_side")
    context.say(f"{int(pairs[todo].sum()):,} fields, about {size_text(needed)}")

    device = _device(config, context)
    seconds = seconds_of(pairs[todo], clips.sizes[todo], config.algorithm, device)
    threads = context.local.threads or cores()
    workers = 0
    if device == "cpu" and not isinstance(config.algorithm, Raft):
        workers = context.workers(default=threads if seconds.sum() > IN_PROCESS_SECONDS else 0)
    items = [Item(int(row), keys[row], int(pairs[row])) for row in todo]
    work = [
        Portion(part, context.store, clips.folder, context.local, config, shelf, device, 1 if workers else threads)
        for part in portions(items, seconds, workers)
    ]
    if workers and (backend := work[0].backend()):
        backend(np.zeros((2, 32, 32, 3), np.uint8))  # compiles once, and the workers find it in the cache
    try:
        outcomes = dict(
            context.progress(do_all(work, workers), "flow fields", int(pairs[todo].sum()), weigh=lambda done: done[1].pairs)
        )
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise UserError(
                f"no room left for flow: {error.strerror}. What is computed so far is kept; free space or set VIDSPEC_STORE, "
                "and run again."
            ) from None
        raise
    return {key: outcome.problem for key, outcome in outcomes.items() if outcome.problem}


def _device(config: Config, context: Context) -> str:
    """Where the flow is computed. Only networks and TV-L1 know GPUs; torch is not loaded for the others."""
    if config.algorithm.kind not in ("tvl1", "raft"):
        return "cpu"
    if config.algorithm.kind == "tvl1" and context.local.device == "cpu":
        return "cpu"
    return str(context.device)


def _write_index(clips: Clips, keys: list[str], packed: dict[str, Place], problems: dict[str, str], context: Context) -> None:
    """``flow.parquet``: a row for each video, in the order of the clips; lengths and errors in pixels. ``key`` is empty without flow."""
    import pyarrow as pa

    rows = []
    for path, digest, key, (width, height) in zip(clips.paths, clips.digests, keys, clips.sizes.tolist()):
        measures = Measures.from_note(packed[key].note) if key in packed else Measures()
        vectors = max(measures.vectors, 1)
        row = {
            "path": path,
            "digest": digest,
            "key": key if key in packed else "",
            "fields": measures.fields,
            "height": height,
            "width": width,
            "mean_magnitude": measures.length / vectors,
            "max_magnitude": measures.longest,
            "clipped_share": measures.clipped / vectors,
            "storage_error": measures.error / (2 * vectors),
            "problem": "" if key in packed else problems[key],
        }
        rows.append(row)
    write_parquet(pa.Table.from_pylist(rows), context.out / "flow.parquet")


def _judge(troubles: list[Trouble], videos: int, context: Context) -> None:
    """Warn about videos without flow; raises UserError when they are too many."""
    if not troubles:
        return
    if len(troubles) > BROKEN_LIMIT * videos:
        context.record.artifact(context.out / "problems.csv")
        lines = "\n".join(f"  {t.path}: {t.problem}" for t in troubles[:50])
        raise UserError(
            f"{len(troubles)} of {videos} videos have no flow, more than the {BROKEN_LIMIT:.0%} that are tolerated:\n{lines}"
        )
    context.warn(f"{len(troubles)} of {videos} videos have no flow and count as not moving (problems.csv)")
