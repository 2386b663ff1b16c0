"""Videos in one folder a class."""

from __future__ import annotations

import hashlib
from pathlib import Path, PurePosixPath

from stages.listing.contents import Contents
from stages.listing.found import Entry, Found
from stages.listing.spec import FolderLayout
from stages.video.listing import SPLITS, Trouble


def read_folder(root: Path, layout: FolderLayout, contents: Contents) -> Found:
    """``<class>/…/<video>``, or ``<split>/<class>/…/<video>`` where the root has a folder ``train``."""
    found = Found()
    has_splits = (root / "train").is_dir()
    depth = 1 if has_splits else 0
    no_video = "it is no folder of pictures" if contents.pictures else "its name has no ending of a video"
    seen: set[str] = set()
    taken: set[PurePosixPath] = set()
    for path in contents.paths:
        pure = PurePosixPath(path)
        parts = pure.parts
        if len(parts) < depth + 2 or (has_splits and parts[0] not in SPLITS):
            if contents.is_video(path):
                found.troubles.append(Trouble(path, "ignored: it does not lie in the folder of a class"))
            continue
        if not taken.isdisjoint(pure.parents):
            continue  # inside the folder of a video, where it will be remarked on
        seen.add(parts[depth])
        if not contents.is_video(path):
            found.troubles.append(Trouble(path, f"ignored: {no_video}"))
            continue
        taken.add(pure)
        split = parts[0] if has_splits else "train"
        found.entries.append(Entry(path, parts[depth], split, "", path))
    if not has_splits:
        found.entries = _hold_out(found.entries, layout)
    labels = {entry.label for entry in found.entries}
    for name in sorted((seen | _folders(root, has_splits)) - labels):
        found.troubles.append(Trouble(name, "empty class: the folder has no videos; it is left out"))
    found.classes = tuple(sorted(labels))
    found.named = len(found.entries)
    return found


def _folders(root: Path, has_splits: bool) -> set[str]:
    tops = [root / split for split in SPLITS] if has_splits else [root]
    return {
        p.name
        for top in tops
        if top.is_dir()
        for p in top.iterdir()
        if p.is_dir() and not p.name.startswith(".")
    }


def _hold_out(entries: list[Entry], layout: FolderLayout) -> list[Entry]:
    """Put a share of each class's videos into test, at least one where a class has two. Chosen by a hash of the path,
    so that a new video changes the side of at most one other."""
    test: set[str] = set()
    for label in {entry.label for entry in entries}:
        paths = sorted(
            (e.path for e in entries if e.label == label), key=lambda p: _hash(layout.split_seed, p)
        )
        share = round(layout.test_share * len(paths))
        if layout.test_share > 0 and len(paths) > 1:
            share = min(max(share, 1), len(paths) - 1)
        test.update(paths[:share])
    return [Entry(e.path, e.label, "test" if e.path in test else "train", e.group, e.where) for e in entries]


def _hash(seed: int, path: str) -> bytes:
    return hashlib.blake2b(f"{seed}\x1f{path}".encode(errors="surrogateescape"), digest_size=8).digest()
