"""Features of snippets in the store: safetensors files with a tensor [L, D] for each video, called by its digest.

A shelf holds what one encoder made in one way, and is named after both; so what was computed once is never computed
again, a killed run goes on after its last whole file, and new videos add files to those that are there.
"""

from __future__ import annotations

import hashlib
import json
import os
import uuid
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.errors import UserError

VIDEOS = 64
"""Videos in a file: this much work a kill can cost."""


def shelf_key(**meaning: Any) -> str:
    """Name of a shelf: a digest of all that its features depend on beside the video. Values that JSON can say."""
    text = json.dumps(meaning, sort_keys=True)
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()


def shelf_folder(store: Path, key: str) -> Path:
    """Where the files of a shelf lie."""
    return store / "snippets" / key


def places(folder: Path, names: Iterable[str]) -> dict[str, Path]:
    """The file of each video that is on the shelf, by the names of videos."""
    from safetensors import SafetensorError, safe_open

    wanted, found = set(names), {}
    for path in sorted(folder.glob("*.safetensors")):
        try:
            with safe_open(path, framework="numpy") as file:
                found.update((name, path) for name in file.keys() if name in wanted)  # noqa: SIM118 - no mapping
        except (SafetensorError, OSError) as error:
            raise UserError(
                f"{path} cannot be read ({error}): delete it, and its videos are encoded anew"
            ) from None
    return found


def write_shard(folder: Path, features: Mapping[str, NDArray[np.float32]]) -> None:
    """Add a file with these videos to a shelf; it appears whole or not at all."""
    from safetensors.numpy import save_file

    folder.mkdir(parents=True, exist_ok=True)
    partial = folder / f"{uuid.uuid4().hex}.partial"
    save_file({name: np.ascontiguousarray(values, np.float32) for name, values in features.items()}, partial)
    with open(partial, "rb") as file:
        os.fsync(file.fileno())
    os.replace(partial, partial.with_suffix(".safetensors"))


class ShelfReader:
    """Reads features of single videos; files are mapped into memory when first needed (in every worker anew)."""

    def __init__(self, places: Mapping[str, Path]) -> None:
        self._places = dict(places)
        self._files: dict[Path, Any] = {}

    def __getstate__(self) -> dict[str, Any]:
        return {"_places": self._places, "_files": {}}

    def read(self, name: str) -> NDArray[np.float32]:
        """Features of a video by its name on the shelf: [L, D]."""
        from safetensors import safe_open

        path = self._places[name]
        if path not in self._files:
            self._files[path] = safe_open(path, framework="numpy")
        return self._files[path].get_tensor(name)
