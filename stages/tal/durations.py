"""How long a video is has three answers that differ; one is chosen and remembered."""

from __future__ import annotations

import math
from typing import Literal, get_args

DurationSource = Literal["annotation", "container", "frames"]
"""What the annotations say; what the container says; the container's number of frames over its frame rate."""


def choose_duration(
    wanted: DurationSource, annotated: float | None, container: float, frames: int, fps: float
) -> tuple[float, DurationSource] | None:
    """Seconds and where they come from: ``wanted`` if it is known, else the first known one; None if none is.

    annotated: None, container, frames, fps: 0 where unknown.
    """
    known: dict[str, float] = {
        "annotation": annotated or 0.0,
        "container": container,
        "frames": frames / fps if fps > 0 else 0.0,
    }
    for source in (wanted, *get_args(DurationSource)):
        if math.isfinite(known[source]) and known[source] > 0:
            return known[source], source
    return None
