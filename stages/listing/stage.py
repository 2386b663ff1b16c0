"""List a data set: which videos there are, their labels, splits and partial hashes. Nothing is decoded."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from engine.errors import UserError
from engine.run.context import Context
from stages.listing import judge
from stages.listing.contents import contents_of
from stages.listing.files import look_at
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
    found = read(root, config.layout, config.pictures)
    entries = judge.same_path(found)
    found.raise_errors(root)
    warnings = judge.absent(found, root, config.layout)
    if not entries:
        what = "folders of pictures" if config.pictures else "videos"
        raise UserError(
            f"data set {config.dataset!r}: no {what} below {root}. Is it the right folder for kind {config.layout.kind!r}?"
        )

    videos, unreadable = [], []
    for entry, seen in zip(entries, look_at(root, [entry.path for entry in entries])):
        if isinstance(seen, str):
            unreadable.append(Trouble(entry.path, seen))
            continue
        videos.append(Video(entry.path, entry.label, entry.split, entry.group, seen.size, seen.digest))
        found.troubles += [
            Trouble(f"{entry.path}/{stray}", "ignored: it is no picture of the video") for stray in seen.strays
        ]
    warnings += found.remarks()
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


def read(root: Path, layout: Layout, pictures: bool) -> Found:
    """Read a data set below ``root`` as its layout says."""
    contents = contents_of(root, pictures)
    match layout:
        case FolderLayout():
            return read_folder(root, layout, contents)
        case Ucf101Layout():
            return read_ucf101(root, layout, contents)
        case Hmdb51Layout():
            return read_hmdb51(root, layout, contents)
        case KineticsLayout():
            return read_kinetics(root, layout, contents)
        case ManifestLayout():
            return read_manifest(root, layout, contents)
