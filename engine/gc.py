"""``vidspec gc``: what lies in the store, in checkpoints and locks, and serves no result any more."""

from __future__ import annotations

import json
import tempfile
import time
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Iterator, Sequence

from engine.run.home import home, state
from engine.run.local import load_local
from engine.spec.discover import store_modules

OLD = 14 * 24 * 3600.0
"""Seconds after which the checkpoints of a stage that was never finished are taken for abandoned."""


@dataclass(frozen=True)
class Garbage:
    """A file that can go, its size in bytes, and why."""

    path: Path
    size: int
    why: str


def collect(root: Path) -> list[Garbage]:
    """Everything that can be deleted; nothing is deleted yet."""
    found = [Garbage(p, p.stat().st_size, "checkpoint, abandoned") for p in _abandoned()]
    store = load_local().store_folder
    with ExitStack() as stack:
        results = [*_workspace_results(root), *_cached_results(Path(stack.enter_context(tempfile.TemporaryDirectory())))]
        for module in store_modules():
            found += [Garbage(path, size, "in the store, named by no result") for path, size in module.unused(store, results)]
    return found


def delete(garbage: Sequence[Garbage]) -> None:
    """Delete the files, and folders that are empty then."""
    for item in garbage:
        item.path.unlink(missing_ok=True)
        if not any(item.path.parent.iterdir()):
            item.path.parent.rmdir()


def _abandoned() -> Iterator[Path]:
    for folder in state("checkpoints").glob("*"):
        files = list(folder.iterdir())
        if files and max(f.stat().st_mtime for f in files) < time.time() - OLD:
            yield from files


def _workspace_results(root: Path) -> Iterator[Path]:
    for base in {root, home()}:
        yield from (p for p in base.glob("results/*/*") if p.is_dir())


def _cached_results(scratch: Path) -> Iterator[Path]:
    """Folders that DVC's cache holds (of experiments and earlier states), as links in a temporary folder."""
    cache = home() / ".dvc" / "cache" / "files" / "md5"
    for listing in cache.glob("*/*.dir"):
        folder = scratch / f"{listing.parent.name}{listing.stem}"
        for entry in json.loads(listing.read_text(encoding="utf-8")):
            content = cache / entry["md5"][:2] / entry["md5"][2:]
            link = folder / entry["relpath"]
            if content.exists():
                link.parent.mkdir(parents=True, exist_ok=True)
                link.symlink_to(content)
        if folder.exists():
            yield folder
