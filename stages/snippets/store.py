"""Features of snippets in the store that no index names any more."""

from __future__ import annotations

import time
from collections.abc import Iterable
from pathlib import Path

from stages.snippets.index import shelf_keys
from stages.video.store import UNFINISHED_AGE


def unused(
    store: Path, results: Iterable[Path], unfinished_age: float = UNFINISHED_AGE
) -> list[tuple[Path, int]]:
    """Files that can be removed, with their sizes in bytes, sorted.

    results: folders of stages whose results must stay readable. A shelf is kept whole while a result names it. Files
    that are younger than ``unfinished_age`` seconds may belong to a stage that has not ended yet, and stay.
    """
    named = {key for folder in results for key in shelf_keys(folder).values()}
    found = []
    for path in sorted((store / "snippets").glob("*/*")):
        if path.parent.name in named and path.suffix == ".safetensors":
            continue
        if time.time() - path.stat().st_mtime > unfinished_age:
            found.append((path, path.stat().st_size))
    return found
