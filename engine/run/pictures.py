"""Saving pictures as PNG files whose bytes depend on the picture alone."""

from __future__ import annotations

from pathlib import Path
from typing import Any


def save_picture(path: Path, image: Any) -> Path:
    """Save a matplotlib figure, a PIL image or a uint8 array [H, W, 3]; returns ``path``."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if hasattr(image, "savefig"):
        image.savefig(path, dpi=120, bbox_inches="tight", metadata={"Software": None})
        return path
    if not hasattr(image, "save"):
        from PIL import Image

        image = Image.fromarray(image)
    image.save(path)
    return path
