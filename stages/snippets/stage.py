"""Snippets: all videos at full fidelity through the frozen encoders of a model."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.run.context import Context
from stages.features.frozen import Frozen, load_frozen
from stages.features.spec import Look
from stages.features.stored import require_finite
from stages.nn.pace import Pace
from stages.nn.weights import load_encoder
from stages.snippets.encode import SnippetPixels, encoded, weights_digest
from stages.snippets.index import Origin, Shelf, SnippetIndex, SnippetVideo
from stages.snippets.shards import VIDEOS, places, shelf_folder, shelf_key, write_shard
from stages.snippets.spec import Config
from stages.tal.annotations import Annotations
from stages.video.clips import Clips
from stages.video.loader import Loader, default_workers
from stages.video.room import check_room
from stages.video.views import open_view

VERSION = 1
"""Raised when the same video and weights would give other features by newer code."""


def run(config: Config, context: Context) -> dict[str, Any]:
    """Put what is missing into the store; write ``snippets.parquet`` and ``snippets.json``."""
    clips = Clips.open(context.input("clips"), context)
    annotations = Annotations.open(context.input("annotations"))
    look = Look(clip=config.snippets.clip, windows=1, precision=config.precision)
    frozen = load_frozen(context.inputs["models"], look, context)
    shelves = _shelves(config, frozen.numbers.bf16, clips, context)
    if clips.source.short_side < config.snippets.size:
        context.warn(
            f"frames are kept at a short side of {clips.source.short_side} pixels and enlarged to "
            f"{config.snippets.size}: set pack.short_side in the spec's data to see details"
        )
    _encode(config, clips, shelves, frozen, context)

    fps = _frame_rates(context)
    videos = tuple(
        SnippetVideo(
            path=path,
            split=clips.splits[row],
            group=str(clips.groups[row]),
            label=clips.labels[row],
            name=clips.digests[row],
            frames=int(clips.frames[row]),
            fps=fps[path],
            duration=annotations.durations[path],
            duration_from=annotations.duration_sources[path],
        )
        for row, path in enumerate(clips.paths)
    )
    one = config.snippets
    origin = Origin(
        snippets=one.count,
        width=frozen.width,
        frames=one.frames,
        stride=one.stride,
        size=one.size,
        short_side=clips.source.short_side,
        view=frozen.view.kind,
        shelves={str(seed): shelf for seed, shelf in zip(config.seeds, shelves, strict=True)},
        source={"bf16": frozen.numbers.bf16, "frames": clips.source.frames_key},
    )
    SnippetIndex(videos, origin).write(context.out)
    return {"videos": len(videos), "snippets": len(videos) * one.count, "width": frozen.width}


def _shelves(config: Config, bf16: bool, clips: Clips, context: Context) -> list[Shelf]:
    """Where the features of each encoder lie: a place of their own for all that makes a difference."""
    found = []
    for folder in context.inputs["models"]:
        encoder, card = load_encoder(folder)
        weights = weights_digest(encoder)
        key = shelf_key(
            version=VERSION,
            weights=weights,
            encoder=card.encoder.model_dump(mode="json"),
            view=card.view.model_dump(mode="json"),
            frames=clips.source.frames_key,
            snippets=config.snippets.model_dump(mode="json"),
            bf16=bf16,
            device=context.device.type,
        )
        found.append(Shelf(key=key, weights=weights))
    return found


def _encode(config: Config, clips: Clips, shelves: list[Shelf], frozen: Frozen, context: Context) -> None:
    """Compute the features that are not in the store yet, a file of some videos at a time."""
    folders = [shelf_folder(context.store, shelf.key) for shelf in shelves]
    there = [set(places(folder, clips.digests)) for folder in folders]
    rows = {digest: row for row, digest in reversed(list(enumerate(clips.digests)))}  # twins are encoded once
    todo = sorted(row for digest, row in rows.items() if any(digest not in known for known in there))
    if not todo:
        context.say("the features of all videos are in the store")
        return
    if len(todo) < len(rows):
        context.say(
            f"{len(rows) - len(todo)} of {len(rows)} videos are in the store; {len(todo)} are to be encoded"
        )
    needed = (
        sum(clips.digests[row] not in known for known in there for row in todo)
        * config.snippets.count
        * frozen.width
        * 4
    )
    check_room(context.store, needed, "features of snippets", "encode fewer snippets (`snippets.count`)")
    pixels = SnippetPixels(open_view(frozen.view, clips, context), np.array(todo, np.int64), config.snippets)
    workers, pace = context.workers(default_workers(context.device)), Pace(context)
    with Loader(pixels, len(pixels), workers, context.device) as loader:
        steps = context.progress(range(len(todo)), "encoding videos", len(todo))
        waiting: dict[str, NDArray[np.float32]] = {}
        for number, (row, features) in enumerate(encoded(pixels, frozen, loader, steps), 1):
            require_finite(features.reshape(-1, frozen.width), clips.paths[row])
            waiting[clips.digests[row]] = features
            if len(waiting) == VIDEOS or number == len(todo):
                for place, (folder, known) in enumerate(zip(folders, there, strict=True)):
                    new = {digest: values[place] for digest, values in waiting.items() if digest not in known}
                    if new:
                        write_shard(folder, new)
                waiting = {}
                pace.note(number, config.snippets.count, loader.waited)


def _frame_rates(context: Context) -> dict[str, float]:
    """Frames a second of each video by path; 0 where the file does not say."""
    import pyarrow.parquet as pq

    table = pq.read_table(context.input("clips") / "clips.parquet", columns=["path", "fps"])
    return dict(zip(table["path"].to_pylist(), table["fps"].to_pylist(), strict=True))
