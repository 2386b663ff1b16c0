"""Configuration of the classify stage, and what protocols that train classifiers have in common."""

from __future__ import annotations

from typing import Annotated, Literal, Union

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


Share = Annotated[float, Field(gt=0, le=1)]


class Jitter(Strict):
    """Brightness, contrast, saturation and hue changed at random, in some of the clips. Defaults: CoCLR's."""

    kind: Literal["jitter"] = "jitter"
    share: float = Field(default=0.3, ge=0, le=1, description="Of the clips.")


class RandAugment(Strict):
    """Some operations of torchvision's RandAugment, drawn anew for each clip and alike in its frames."""

    kind: Literal["rand_augment"]
    operations: int = Field(default=2, ge=1, le=14, description="One after another.")
    magnitude: float = Field(default=7.0, ge=0, le=10, description="0: nothing happens; 10: the most.")
    deviation: float = Field(default=0.5, ge=0, description="Of the magnitude, which is drawn for each clip.")


class Augmentation(Strict):
    """How training clips are changed at random, besides being mirrored half of the time. Defaults: CoCLR's."""

    area: tuple[Share, Share] = Field(
        default=(0.2, 1.0), description="Least and greatest share of the picture that a random crop keeps."
    )
    colours: Annotated[Union[Jitter, RandAugment], Field(discriminator="kind")] = Jitter()
    erase_share: float = Field(
        default=0.0, ge=0, le=1, description="Of the clips in which a random rectangle becomes noise."
    )
    repeats: int = Field(
        default=1, ge=1, description="Clips of each video in a batch, which has so many times `schedule.batch` clips."
    )


class Mix(Strict):
    """Clips of a batch laid over each other (mixup) or cut into each other (CutMix), and their labels likewise."""

    mixup: float = Field(default=0.8, gt=0, description="Both parameters of the Beta distribution of the share.")
    cutmix: float = Field(default=1.0, gt=0, description="The same, of the share of the area.")
    cutmix_share: float = Field(default=0.5, ge=0, le=1, description="Of the mixed batches, that are cut.")


class Config(StageConfig):
    """Test videos shown to trained classifiers.

    Inputs: ``clips``, ``flow`` where the view is made of it, and ``models`` with one classifier for each of ``seeds``.
    """

    seeds: tuple[int, ...]
    look: Look
    crops: CropKind
    crop_share: float
