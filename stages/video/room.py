"""Whether a disk has room for what is about to be written to it."""

from __future__ import annotations

import shutil
from pathlib import Path

from engine.errors import UserError


def check_room(store: Path, needed: float, what: str, instead: str) -> None:
    """Raises UserError when the disk of the store has less than ``needed`` bytes free.

    what: that needs them, as in "packed frames"; instead: what else one could choose in the spec.
    """
    folder = store
    while not folder.exists():
        folder = folder.parent
    free = shutil.disk_usage(folder).free
    if needed > free:
        raise UserError(
            f"{what} need about {size_text(needed)}, but {folder} has {size_text(free)} free. Set VIDSPEC_STORE (or "
            f"`store` in local.yaml) to a larger disk, or {instead}."
        )


def size_text(size: float) -> str:
    """``1.5 GB``, ``20 MB``."""
    for unit, power in (("TB", 1e12), ("GB", 1e9), ("MB", 1e6)):
        if size >= power:
            return f"{size / power:.3g} {unit}"
    return f"{size / 1e3:.3g} kB"
