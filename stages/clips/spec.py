"""Configuration of the clips stage: check every video once, and pack its frames."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import Field

from engine.spec.component import Name, StageConfig, neutral
from stages.video.spec import Pack

if TYPE_CHECKING:
    from engine.run.local import Local


class Config(StageConfig):
    """Inputs: ``listing``. The root of ``dataset`` is a matter of the machine, found at run time."""

    dataset: Name | None = Field(
        description="Data set whose root holds the videos; None: they lie beside the listing."
    )
    pack: Pack
    broken_limit: float
    fps: float | None = neutral(None, gt=0, description="Frames a second of videos that do not say it: folders of pictures.")
    timed: bool = neutral(
        False,
        description="Whether what is annotated stands at times: then videos whose end is damaged are left out, as "
        "times of the rest would be stretched, and videos whose frames come irregularly are reported.",
    )

    def forecast(self, inputs: Mapping[str, Path], local: Local, expected: Mapping[str, int]) -> str | None:
        """Disk that packed frames will take, from the headers of some videos; known once the data set is listed."""
        if self.pack.kind == "none":
            return "packs no frames: every epoch decodes the videos"
        if "listing" not in inputs:
            if self.dataset:
                local.root(self.dataset)  # says so if it is not set
            return "disk for packed frames: known once the videos are listed"
        from stages.clips.packing import choose_packing, estimate_raw_bytes, packed_bytes
        from stages.video.listing import read_listing
        from stages.video.room import size_text

        videos = read_listing(inputs["listing"]).videos
        root = local.root(self.dataset) if self.dataset else inputs["listing"]
        raw = estimate_raw_bytes(videos, root, self.pack.short_side)
        packing = choose_packing(self.pack, raw)
        return f"packs {len(videos)} videos as {packing.kind}: about {size_text(packed_bytes(packing, raw))} (raw: {size_text(raw)})"
