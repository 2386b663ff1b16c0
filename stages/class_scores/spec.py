"""Class scores of whole videos that another project computed, such as the CUHK scores for ActivityNet."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from pydantic import Field

from engine.spec.component import Name, StageConfig, Strict

if TYPE_CHECKING:
    from engine.run.local import Local


class ScoreFile(Strict):
    """A JSON file: `class`, a list of names, and `results`, by video a list of scores in this order, none negative."""

    root: Name = Field(description="Its folder is `datasets.<root>` in local.yaml or VIDSPEC_ROOT_<ROOT>.")
    file: str = Field(description="The file, relative to that folder.")
    missing: Literal["fail", "skip"] = Field(
        default="fail", description="Test videos that it does not have: an error, or without detections."
    )


class Config(StageConfig):
    """Inputs: ``annotations``. The file is looked at in every run, so that a change of it is noticed."""

    scores: ScoreFile

    def forecast(self, inputs: Mapping[str, Path], local: Local, expected: Mapping[str, int]) -> str | None:
        local.root(self.scores.root)  # says so if it is not set
        return None
