"""Check every video of a listing by decoding it once, pack its frames in the store, and write the index of clips."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import Any

from engine.errors import UserError
from engine.run.context import Context
from stages.clips.index import usable_rows, write_clips
from stages.clips.packing import choose_packing, estimate_raw_bytes, packed_bytes
from stages.clips.portions import portions
from stages.clips.sheet import contact_sheet
from stages.clips.spec import Config
from stages.clips.work import Item
from stages.video.workers import do_all
from stages.video.checks import checks_folder, load_checks
from stages.video.clips import Clips, Source
from stages.video.index import Checked
from stages.video.listing import Listing, Trouble, read_listing, write_classes, write_problems
from stages.video.room import check_room, size_text
from stages.video.shards import Packing, places


def run(config: Config, context: Context) -> dict[str, Any]:
    """Write ``clips.parquet``, ``clips.json``, ``classes.json``, ``problems.csv`` and a contact sheet."""
    listed = context.input("listing")
    listing = read_listing(listed)
    root = context.local.root(config.dataset) if config.dataset else listed

    raw_bytes = (
        estimate_raw_bytes(listing.videos, root, config.pack.short_side)
        if config.pack.kind != "none"
        else 0.0
    )
    packing = choose_packing(config.pack, raw_bytes)
    found = _check_and_pack(listing, root, packing, raw_bytes, context)

    rows = usable_rows(listing, found, config.fps, config.timed)
    troubles = [Trouble(v.path, found[v.digest].problem) for v in listing.videos if found[v.digest].problem]
    if config.timed:
        troubles += _irregular(listing, found, context)
    write_classes(context.out, listing.classes)
    write_problems(context.out, troubles)
    _judge(listing, found, troubles, config, context)

    beside = None if config.dataset else os.path.relpath(listed, context.out.parent)
    source = Source(config.dataset, beside, packing.key if packing else None, config.pack.short_side)
    write_clips(context.out, rows, source)
    clips = Clips.open(context.out, context)
    context.picture("contact_sheet", contact_sheet(clips))
    packed = places(context.store, packing, {row.video.digest for row in rows}) if packing else {}
    return {
        "videos": len(rows),
        "broken": len(listing.videos) - len(rows),
        "partial": sum(row.checked.status == "partial" for row in rows),
        "frames": int(clips.frames.sum()),
        "hours": round(
            sum(row.checked.frames / row.checked.fps for row in rows if row.checked.fps) / 3600, 6
        ),
        "classes": len(listing.classes),
        "store_bytes": sum(place.bytes for place in packed.values()),
    }


def _check_and_pack(
    listing: Listing, root: Path, packing: Packing | None, raw_bytes: float, context: Context
) -> dict[str, Checked]:
    """Results by digest; only videos whose result or frames are not in the store are decoded."""
    digests = {v.digest for v in listing.videos}
    found = load_checks(checks_folder(context.store), digests)
    packed = set(places(context.store, packing, digests)) if packing else set()
    items = {}
    for video in listing.videos:
        known = found.get(video.digest)
        pack = packing is not None and video.digest not in packed and (known is None or known.usable)
        if known is None or pack:
            items[video.digest] = Item(root / video.path, video.digest, video.size, pack)
    if packing:
        share = sum(item.size for item in items.values() if item.pack) / max(
            1, sum(v.size for v in listing.videos)
        )
        needed = packed_bytes(packing, raw_bytes) * share
        where = packing.folder(context.store)
        context.say(
            f"frames packed as {packing.key}: about {size_text(packed_bytes(packing, raw_bytes))} in {where}"
        )
        check_room(
            context.store,
            needed,
            "packed frames",
            "in the spec's data choose `pack: {kind: jpeg}`, a smaller `short_side`, or `pack: {kind: none}` (slower training)",
        )
    workers = context.workers(
        default=len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    )
    work = do_all(portions(list(items.values()), context.store, packing, workers), workers)
    try:
        found.update(context.progress(work, "checking videos", total=len(items)))
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise UserError(
                f"no room left for packed frames: {error.strerror}. What is packed so far is kept; {_MORE}"
            ) from None
        raise
    return found


DRIFT = 0.5
"""Seconds that a frame may be from where an even pace has it: about a snippet of a video of a minute."""
_MORE = "free space or set VIDSPEC_STORE, and run again."


def _irregular(listing: Listing, found: dict[str, Checked], context: Context) -> list[Trouble]:
    """Videos in which frames are far from where an even pace would have them; warns of them."""
    far = [v for v in listing.videos if found[v.digest].drift > DRIFT]
    if far:
        context.warn(
            f"in {len(far)} videos frames come irregularly, up to {max(found[v.digest].drift for v in far):.1f} s from "
            "where an even pace has them, and times found in them are off by as much: convert them to a constant frame "
            "rate (problems.csv)"
        )
    return [
        Trouble(v.path, f"frames are up to {found[v.digest].drift:.1f} s from where an even pace has them")
        for v in far
    ]


def _judge(
    listing: Listing, found: dict[str, Checked], troubles: list[Trouble], config: Config, context: Context
) -> None:
    """Warn about what is wrong; raises UserError when too many videos are unreadable, or all are."""
    broken = [Trouble(v.path, found[v.digest].problem) for v in listing.videos if not found[v.digest].usable]
    partial = sum(found[v.digest].status == "partial" for v in listing.videos)
    if partial and config.timed:
        context.warn(
            f"{partial} videos are damaged and left out: in the frames before the damage annotated times would be "
            "stretched (problems.csv)"
        )
    elif partial:
        context.warn(f"{partial} videos are damaged; the frames before the damage are used (problems.csv)")
    if broken:
        context.warn(
            f"{len(broken)} of {len(listing.videos)} videos are unreadable and left out (problems.csv)"
        )
    if len(broken) > config.broken_limit * len(listing.videos) or len(broken) == len(listing.videos):
        context.record.artifact(context.out / "problems.csv")
        lines = [f"  {t.path}: {t.problem}" for t in broken[:50]]
        more = [f"  and {len(broken) - 50} more"] if len(broken) > 50 else []
        raise UserError(
            f"{len(broken)} of {len(listing.videos)} videos are unreadable, more than broken_limit allows "
            f"({config.broken_limit:.0%}). Replace them, take them out of the split, or raise broken_limit in the spec's data:\n"
            + "\n".join(lines + more)
        )
    left = {v.label for v in listing.videos if found[v.digest].usable}
    for label in sorted({v.label for v in listing.videos} - left):
        context.warn(f"class {label!r} has no readable video")
