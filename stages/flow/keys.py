"""What the flow of a video is called in the store."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from engine.run.local import Local
from stages.flow.precomputed_files import names_of
from stages.video.clips import Clips
from stages.video.flow_spec import FlowAlgorithm, Precomputed
from stages.video.listing import digest

TOGETHER = 8
"""Videos whose files are listed at the same time: a network disk answers many as soon as one."""
COMPONENTS = ("", "u", "v", "x", "y", "flow_u", "flow_v", "flow_x", "flow_y")
"""Folders below the root that may hold the videos' folders, as ``precomputed_files`` reads them."""


def keys_of(clips: Clips, algorithm: FlowAlgorithm, local: Local) -> list[str]:
    """A key for each row of the clips: the video's digest, and for flow that was extracted before a hash of its files as well.

    Raises UserError when the root of such flow is not set.
    """
    if not isinstance(algorithm, Precomputed):
        return list(clips.digests)
    root = local.root(algorithm.root)
    with ThreadPoolExecutor(TOGETHER) as pool:
        return [f"{video}-{files}" for video, files in zip(clips.digests, pool.map(lambda p: files_hash(root, p), clips.paths))]


def files_hash(root: Path, video: str) -> str:
    """16 hex digits of the names and sizes of a video's flow files, and of what is in the first, the middle and the last of them.

    So flow that was extracted anew is noticed even where all sizes stay (``flo``, ``npy``); a single file in between that was
    exchanged for another of its size is not. Files that cannot be looked at have a hash too: reading them will say why.
    """
    hasher = hashlib.blake2b(digest_size=8)
    try:
        files = list(_files(root, video))
        for name, size, _ in files:
            hasher.update(f"{name}\0{size}\0".encode("utf-8", "surrogateescape"))
        for _, _, path in (files[0], files[len(files) // 2], files[-1]) if files else ():
            hasher.update(digest(Path(path))[1].encode())
    except OSError as error:
        hasher.update(f"error {error.errno}".encode())
    return hasher.hexdigest()


def _files(root: Path, video: str) -> Iterator[tuple[str, int, str]]:
    """Name, size and path of all files that may hold a video's flow, in a fixed order."""
    for name in names_of(video):
        folders = [root / part / name for part in COMPONENTS if (root / part / name).is_dir()]
        whole = root / f"{name}.npy"
        if whole.is_file():
            yield whole.name, whole.stat().st_size, str(whole)
        for folder in folders:
            yield from _files_below(str(folder))
        if folders or whole.is_file():
            return


def _files_below(folder: str) -> Iterator[tuple[str, int, str]]:
    with os.scandir(folder) as entries:
        for entry in sorted(entries, key=lambda entry: entry.name):
            if entry.is_dir():
                yield from _files_below(entry.path)
            else:
                yield entry.name, entry.stat().st_size, entry.path
