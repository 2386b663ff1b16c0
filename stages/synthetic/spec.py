"""The data kind ``synthetic_actions`` and the configuration of its generator."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import AfterValidator, Field, model_validator

from engine.spec.component import StageConfig, Strict, neutral
from stages.video.spec import VideoData

if TYPE_CHECKING:
    from engine.compile.plan import Plan, Source

MotionName = Literal[
    "bob", "bounce", "circle", "eight", "pulse", "spin", "spiral", "stop_and_go", "sway", "zigzag"
]
"""What ``stages.synthetic.motions`` can do."""


def _even(value: int) -> int:
    if value % 2:
        raise ValueError("must be even: H.264 halves the resolution of colour")
    return value


def _distinct(motions: tuple[MotionName, ...]) -> tuple[MotionName, ...]:
    if len(set(motions)) < len(motions):
        raise ValueError("names a motion twice")
    return motions


class Recipe(Strict):
    """What the videos are like. Lengths are fractions of the frame's side unless said otherwise."""

    motions: Annotated[tuple[MotionName, ...], AfterValidator(_distinct)] = Field(
        default=("bob", "bounce", "circle", "eight", "pulse", "spin", "sway", "zigzag"),
        min_length=2,
        description="The classes, in this order. None is turned into another by a horizontal flip.",
    )
    train: int = Field(default=800, ge=1, description="Training videos, spread evenly over the classes.")
    test: int = Field(default=400, ge=1, description="Test videos, spread evenly over the classes.")
    frames: int = Field(default=16, ge=2, le=10_000, description="Frames of a video.")
    size: Annotated[int, AfterValidator(_even)] = Field(default=64, ge=32, le=1024, description="Side in pixels.")
    data_seed: int = Field(default=0, ge=0, description="Another seed gives other videos of the same kind.")
    sprites: int = Field(default=3, ge=1, le=6, description="Sprites in a video; they move alike.")
    period: float = Field(default=9.0, ge=4, description="Mean length of a cycle of motion, in frames.")
    jitter: float = Field(default=0.01, ge=0, le=0.1, description="Standard deviation of the camera's shake.")
    backdrop: Literal["textured", "plain"] = neutral(
        "textured", description="What is behind the sprites; plain: one grey, so that all there is to see is sprites."
    )
    noise: float = Field(default=4.0, ge=0, le=64, description="Standard deviation of sensor noise, in levels of 255.")
    appearances: int | None = Field(
        default=None,
        ge=1,
        description="Videos of a split share this many sets of textures and shapes, so that telling videos apart "
        "takes more than looks; without it each video has its own.",
    )
    fps: int = Field(default=16, ge=1, le=240, description="Frames a second that the files claim.")
    qp: int = Field(default=20, ge=1, le=51, description="H.264's constant quantiser; larger is coarser.")
    gop: int = Field(
        default=1,
        ge=1,
        le=250,
        description="Frames from one key frame to the next. Above 1 the traces of compression in a single frame "
        "depend on what moved before it.",
    )

    @model_validator(mode="after")
    def _every_class_in_every_split(self) -> Recipe:
        for split, count in (("train", self.train), ("test", self.test)):
            if count < len(self.motions):
                raise ValueError(f"{split} is {count}: fewer videos than the {len(self.motions)} classes (motions)")
        return self


class SyntheticActions(Recipe, VideoData):
    """Videos that the project generates: a class is how textured sprites move, never how anything looks."""

    kind: Literal["synthetic_actions"]

    def expected(self) -> Mapping[str, int]:
        return {"train": self.train, "test": self.test}

    def listing(self, plan: Plan) -> Source:
        recipe = Recipe(**{name: getattr(self, name) for name in Recipe.model_fields})
        return plan.add("synthetic", "synthetic", Config(recipe=recipe), {})


class Config(StageConfig):
    """No inputs. The stage writes the videos and their listing."""

    recipe: Recipe
