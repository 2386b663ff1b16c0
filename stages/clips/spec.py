"""Configuration of the clips stage: check every video once, and pack its frames."""

from __future__ import annotations

from pydantic import Field

from engine.spec.component import Name, StageConfig
from stages.video.spec import Pack


class Config(StageConfig):
    """Inputs: ``listing``. The root of ``dataset`` is a matter of the machine, found at run time."""

    dataset: Name | None = Field(
        description="Data set whose root holds the videos; None: they lie beside the listing."
    )
    pack: Pack
    broken_limit: float
