"""The data kind ``synthetic_untrimmed``: generated videos in which motions begin and end at exactly known times."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import AfterValidator, Field, model_validator

from engine.spec.component import StageConfig
from stages.synthetic.spec import MotionName, Recipe
from stages.video.spec import VideoData

if TYPE_CHECKING:
    from engine.compile.plan import Plan, Source

Nuisance = Literal["still", "drift", "wander"]
"""What sprites do between instances: nothing, go straight on, or go about without a pattern. None is a class."""


def _distinct(values: tuple[str, ...]) -> tuple[str, ...]:
    if len(set(values)) < len(values):
        raise ValueError("names one twice")
    return values


class UntrimmedRecipe(Recipe):
    """What the videos are like: those of ``synthetic_actions``, made long, with motions at times only.

    All lengths of time are in frames.
    """

    motions: Annotated[tuple[MotionName, ...], AfterValidator(_distinct)] = Field(
        default=("bob", "circle", "pulse", "spin", "sway"),
        min_length=2,
        description="The classes, in this order. `stop_and_go` rests half of the time, so its ends are blurred.",
    )
    train: int = Field(default=120, ge=1, description="Training videos, spread evenly over the classes.")
    test: int = Field(default=60, ge=1, description="Test videos, spread evenly over the classes.")
    frames: int = Field(default=128, ge=8, le=100_000, description="Mean length of a video.")
    spread: float = Field(
        default=0.25,
        ge=0,
        lt=1,
        description="Lengths of videos are uniform within this share of `frames` on both sides.",
    )
    fewest: int = Field(default=1, ge=0, description="Least number of instances in a video.")
    most: int = Field(default=3, ge=1, description="Greatest number of instances in a video, as far as they fit.")
    shortest: int = Field(default=16, ge=2, description="Least length of an instance.")
    longest: int = Field(default=48, ge=2, description="Greatest length of an instance.")
    gap: int = Field(default=8, ge=1, description="Least length of the background between two instances.")
    mixed: bool = Field(
        default=False, description="Whether each instance has a class of its own, instead of one class in a video."
    )
    background: Annotated[tuple[Nuisance, ...], AfterValidator(_distinct)] = Field(
        default=("still", "drift", "wander"), min_length=1, description="What happens in the background, each as often."
    )

    @property
    def lengths(self) -> tuple[int, int]:
        """Least and greatest number of frames of a video."""
        return round(self.frames * (1 - self.spread)), round(self.frames * (1 + self.spread))

    @model_validator(mode="after")
    def _instances_fit(self) -> UntrimmedRecipe:
        if self.fewest > self.most or self.shortest > self.longest:
            raise ValueError("fewest must not exceed most, nor shortest exceed longest")
        needed = self.fewest * self.shortest + max(self.fewest - 1, 0) * self.gap
        if max(needed, self.shortest) > self.lengths[0]:
            raise ValueError(
                f"the shortest videos have {self.lengths[0]} frames: too few for {max(self.fewest, 1)} instances of "
                f"{self.shortest} frames"
            )
        return self


class SyntheticUntrimmed(UntrimmedRecipe, VideoData):
    """Untrimmed videos that the project generates: sprites stand or go about, and now and then perform a motion."""

    kind: Literal["synthetic_untrimmed"]

    def expected(self) -> Mapping[str, int]:
        return {"train": self.train, "test": self.test}

    def listing(self, plan: Plan) -> Source:
        recipe = UntrimmedRecipe(**{name: getattr(self, name) for name in UntrimmedRecipe.model_fields})
        return plan.add("untrimmed", "untrimmed", Config(recipe=recipe), {})


class Config(StageConfig):
    """No inputs. The stage writes the videos, their listing and their annotations."""

    recipe: UntrimmedRecipe
