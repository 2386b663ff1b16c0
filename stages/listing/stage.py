"""List a data set: which videos there are, their labels, splits and partial hashes. Nothing is decoded."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from engine.errors import UserError
from engine.run.context import Context
from stages.listing import judge
from stages.listing.files import digests
from stages.listing.folder import read_folder
from stages.listing.found import Found
from stages.listing.hmdb51 import read_hmdb51
from stages.listing.kinetics import read_kinetics
from stages.listing.manifest import read_manifest
from stages.listing.spec import (
    Config,
    FolderLayout,
    Hmdb51Layout,
    KineticsLayout,
    Layout,
    ManifestLayout,
    Ucf101Layout,
)  # fmt: skip
from stages.listing.ucf101 import read_ucf101
from stages.video.listing import SPLITS, Listing, Trouble, Video, write_listing


def run(config: Config, context: Context) -> dict[str, Any]:
    """Write ``listing.parquet``, ``classes.json`` and ``problems.csv``."""
    root = context.local.root(config.dataset)
    found = read(root, config.layout)
    entries = judge.same_path(found)
    found.raise_errors(root)
    warnings = [*judge.absent(found, root, config.layout), *found.remarks()]
    if not entries:
        raise UserError(
            f"data set {config.dataset!r}: no videos below {root}. Is it the right folder for kind {config.layout.kind!r}?"
        )

    videos, unreadable = [], []
    for entry, result in zip(entries, digests(root, [entry.path for entry in entries])):
        if isinstance(result, str):
            unreadable.append(Trouble(entry.path, result))
        else:
            videos.append(Video(entry.path, entry.label, entry.split, entry.group, *result))
    if not videos:
        raise UserError(
            f"data set {config.dataset!r}: none of {len(entries)} videos below {root} can be read ({unreadable[0].problem})"
        )
    leak_troubles, leak_warnings = judge.leaks(videos, config.layout)
    class_troubles, class_warnings = judge.classes(videos, found.classes)
    if unreadable:
        warnings.append(f"{len(unreadable)} videos cannot be read; first: {unreadable[0].path}")
    for warning in [*warnings, *leak_warnings, *class_warnings]:
        context.warn(warning)
    troubles = [*found.troubles, *unreadable, *leak_troubles, *class_troubles]
    write_listing(context.out, Listing(tuple(videos), found.classes), troubles)
    counts = {split: sum(v.split == split for v in videos) for split in SPLITS}
    context.say(
        f"{config.dataset}: {len(videos)} videos, {len(found.classes)} classes, "
        + ", ".join(f"{n} {s}" for s, n in counts.items())
    )
    return {
        "videos": len(videos),
        "classes": len(found.classes),
        **{f"{split}_videos": count for split, count in counts.items()},
        "absent": len(found.absent),
        "problems": len(set(troubles)),
        "bytes": sum(v.size for v in videos),
    }


def read(root: Path, layout: Layout) -> Found:
    """Read a data set below ``root`` as its layout says."""
    match layout:
        case FolderLayout():
            return read_folder(root, layout)
        case Ucf101Layout():
            return read_ucf101(root, layout)
        case Hmdb51Layout():
            return read_hmdb51(root, layout)
        case KineticsLayout():
            return read_kinetics(root, layout)
        case ManifestLayout():
            return read_manifest(root, layout)
