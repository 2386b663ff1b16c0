"""Configuration of the classify stage, and what protocols that train classifiers have in common."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from engine.spec.component import StageConfig, Strict
from stages.features.spec import Look

CropKind = Literal["centre", "five", "ten"]


class HeldOut(Strict):
    """The part of the training videos on which something is chosen. The same for all models and seeds of a study."""

    share: float = Field(
        default=0.2, gt=0, lt=1, description="Of each class; sources of videos (groups) stay whole."
    )
    draw: int = Field(default=0, ge=0, description="Number of the random draw: another number, another part.")


class Config(StageConfig):
    """Test videos shown to trained classifiers.

    Inputs: ``clips``, ``flow`` where the view is made of it, and ``models`` with one classifier for each of ``seeds``.
    """

    seeds: tuple[int, ...]
    look: Look
    crops: CropKind
    crop_share: float
