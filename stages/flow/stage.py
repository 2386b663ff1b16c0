"""Compute the optical flow of every video whose flow is not in the store yet, and write the index of flows."""

from __future__ import annotations

import errno
from collections.abc import Sequence
from typing import Any

import numpy as np

from engine.errors import UserError
from engine.run.context import Context
from stages.flow.cost import core_seconds, missing, pairs_of, stored_bytes
from stages.flow.pictures import flow_examples, histogram
from stages.flow.spec import Config
from stages.flow.work import Item, Measures, Outcome, Portion
from stages.video.clips import Clips
from stages.video.flow_spec import Precomputed, Raft
from stages.video.flows import Flows, FlowShelf
from stages.video.listing import Trouble, write_parquet, write_problems
from stages.video.loader import cores
from stages.video.room import check_room, size_text
from stages.video.shards import Place, places
from stages.video.workers import do_all

PORTION_SECONDS = 45.0
"""Work of a portion on one core: what a killed run loses at most, for each worker."""
CLIPPED_LIMIT = 0.01
BROKEN_LIMIT = 0.05
"""Shares at which there is a warning, and a failure."""


def run(config: Config, context: Context) -> dict[str, Any]:
    """Write ``flow.parquet``, ``flow.json``, ``problems.csv`` and pictures; the flow itself goes to the store."""
    clips = Clips.open(context.input("clips"), context)
    if isinstance(config.algorithm, Precomputed):
        context.local.root(config.algorithm.root)  # says so if it is not set
    shelf = FlowShelf.of(clips.source.frames_key, config.algorithm, config.bound, config.storage)
    problems = _compute(clips, config, shelf, context)

    packed = places(context.store, shelf, clips.digests)
    troubles = [Trouble(p, problems[d]) for p, d in zip(clips.paths, clips.digests) if d in problems]
    write_problems(context.out, troubles)
    shelf.write(context.out)
    _write_index(clips, packed, problems, context)
    _judge(troubles, len(clips), context)

    flows = Flows.open(context.out, clips, context)
    context.picture("flow", flow_examples(clips, flows))
    context.picture("histogram", histogram(clips, flows))
    measured = [Measures.from_note(packed[d].note) for d in clips.digests if d in packed]
    vectors = sum(m.vectors for m in measured)
    clipped = sum(m.clipped for m in measured) / vectors
    if clipped > CLIPPED_LIMIT:
        worst = max(measured, key=lambda m: m.clipped / m.vectors)
        path = next(p for p, d in zip(clips.paths, clips.digests) if d in packed and packed[d].note == worst.note())
        context.warn(
            f"{clipped:.1%} of all vectors are longer than bound ({config.bound:g} px) and were cut, most of them in {path} "
            f"({worst.clipped / worst.vectors:.1%}): raise the view's bound, or make the frames smaller (pack.short_side)"
        )
    return {
        "videos": len(measured),
        "broken": len(troubles),
        "fields": sum(m.fields for m in measured),
        "mean_length_px": sum(m.length for m in measured) / vectors,
        "clipped_share": clipped,
        "storage_error_px": sum(m.error for m in measured) / (2 * vectors),
        "store_bytes": sum(place.bytes for place in packed.values()),
    }


def _compute(clips: Clips, config: Config, shelf: FlowShelf, context: Context) -> dict[str, str]:
    """Compute what is not in the store; returns the videos without flow (by digest), and why."""
    pairs = pairs_of(clips.frames)
    todo = np.flatnonzero(missing(context.store, shelf, clips.digests))
    context.say(f"flow of {len(todo)} of {len(clips)} videos to compute, kept in {shelf.folder(context.store)}")
    if not len(todo):
        return {}
    needed = stored_bytes(pairs[todo], clips.sizes[todo], shelf.kind)
    check_room(context.store, needed, "flow fields", "in the spec's view choose `storage: {kind: jpeg}`, or a smaller pack.short_side")
    context.say(f"{int(pairs[todo].sum()):,} fields, about {size_text(needed)}")

    device = _device(config, context)
    workers = context.workers(default=cores()) if device == "cpu" and not isinstance(config.algorithm, Raft) else 0
    threads = 1 if workers else cores()
    items = [Item(int(row), clips.digests[row], int(pairs[row])) for row in todo]
    work = [
        Portion(part, context.store, clips.folder, context.local, config, shelf, device, threads)
        for part in portions(items, clips, config, workers)
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
    return {digest: outcome.problem for digest, outcome in outcomes.items() if outcome.problem}


def portions(items: Sequence[Item], clips: Clips, config: Config, workers: int) -> list[tuple[Item, ...]]:
    """Divide videos in their order into portions of equal work, several for each worker."""
    rows = [item.row for item in items]
    seconds = np.array(
        [core_seconds(np.array([i.pairs]), clips.sizes[[row]], config.algorithm) for i, row in zip(items, rows)]
    )
    most = min(PORTION_SECONDS, seconds.sum() / (4 * max(1, workers)))
    numbers = ((seconds.cumsum() - seconds / 2) / max(most, 1e-9)).astype(int)
    return [tuple(items[i] for i in np.flatnonzero(numbers == n)) for n in np.unique(numbers)]


def _device(config: Config, context: Context) -> str:
    """Where the flow is computed. Only networks and TV-L1 know GPUs; torch is not loaded for the others."""
    if config.algorithm.kind not in ("tvl1", "raft"):
        return "cpu"
    if config.algorithm.kind == "tvl1" and context.local.device == "cpu":
        return "cpu"
    return str(context.device)


def _write_index(clips: Clips, packed: dict[str, Place], problems: dict[str, str], context: Context) -> None:
    """``flow.parquet``: a row for each video, in the order of the clips."""
    import pyarrow as pa

    rows = []
    for path, digest in zip(clips.paths, clips.digests):
        measures = Measures.from_note(packed[digest].note) if digest in packed else Measures()
        vectors = max(measures.vectors, 1)
        row = {
            "path": path,
            "digest": digest,
            "fields": measures.fields,
            "mean_length": measures.length / vectors,
            "longest": measures.longest,
            "clipped_share": measures.clipped / vectors,
            "storage_error": measures.error / (2 * vectors),
            "problem": "" if digest in packed else problems[digest],
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
