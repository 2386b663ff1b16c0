"""The words for video in a spec: clips, views, packing, and the base of all video data sets."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, ClassVar, Literal, Union

from pydantic import Field

from engine.spec.component import Data, Strict, neutral
from stages.video.flow_spec import Flow

if TYPE_CHECKING:
    from engine.compile.plan import Plan, Source


class Clip(Strict):
    """A clip: ``frames`` frames, every ``stride``-th of the video, at ``size`` x ``size`` pixels."""

    frames: int = Field(default=32, ge=1)
    stride: int = Field(default=1, ge=1)
    size: int = Field(default=128, ge=8)
    pad: Literal["first", "last", "loop"] = Field(
        default="first",
        description="How a video shorter than a clip is filled: its first frame repeated before it (as CoCLR's code "
        "does), its last frame repeated after it, or the video played again.",
    )

    @property
    def span(self) -> int:
        """Frames of the video that one clip covers."""
        return (self.frames - 1) * self.stride + 1

    def completed_by(self, other: Clip) -> Clip:
        """This clip as it was written; fields that were not are those of ``other``."""
        return other.model_copy(update=self.model_dump(exclude_unset=True))


Deviation = Annotated[float, Field(gt=0)]

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_DEVIATION = (0.229, 0.224, 0.225)
"""Of red, green and blue, scaled to [0, 1]."""


class Rgb(Strict):
    """Colour frames, scaled to [0, 1], less ``mean``, over ``deviation``.

    ImageNet's statistics by default. Public weights may ask for others: SlowFast's and torchvision's MViTs for 0.45 and
    0.225 in all channels, torchvision's other video networks for 0.43216, 0.394666, 0.37645 and 0.22803, 0.22145, 0.216989.
    """

    kind: Literal["rgb"] = "rgb"
    channels: ClassVar[int] = 3
    mean: tuple[float, float, float] = neutral(
        IMAGENET_MEAN, description="Of red, green and blue; SlowFast and torchvision's MViTs: 0.45 each."
    )
    deviation: tuple[Deviation, Deviation, Deviation] = neutral(
        IMAGENET_DEVIATION, description="Of red, green and blue; SlowFast and torchvision's MViTs: 0.225 each."
    )


class Difference(Strict):
    """Difference of consecutive frames: a motion view that costs nothing. Not optical flow, and not in the papers."""

    kind: Literal["difference"] = "difference"
    channels: ClassVar[int] = 3


View = Annotated[Union[Rgb, Difference, Flow], Field(discriminator="kind")]


class Pack(Strict):
    """Decoded frames kept in shards, so that an epoch does not decode videos again."""

    kind: Literal["none", "raw", "jpeg", "auto"] = Field(
        default="auto", description="auto: raw while the set stays below `limit_gb`, JPEG beyond."
    )
    short_side: int = Field(default=144, ge=8, description="Frames are scaled to this short side; never enlarged.")
    quality: int = Field(default=92, ge=1, le=100, description="JPEG quality.")
    limit_gb: float = Field(default=20.0, gt=0)


class VideoData(Data):
    """A set of labelled videos."""

    pack: Pack = Pack()
    broken_limit: float = Field(default=0.05, ge=0, le=1, description="Share of unreadable videos above which it fails.")

    def listing(self, plan: Plan) -> Source:
        """Add the stage that lists the videos."""
        raise NotImplementedError

    def frame_rate(self) -> float | None:
        """Frames a second, where the videos do not say it themselves."""
        return None

    def has_times(self) -> bool:
        """Whether what is annotated stands at times within the videos."""
        return False

    def plan(self, plan: Plan) -> Source:
        from stages.clips.spec import Config

        listing = self.listing(plan)
        config = Config(
            dataset=self.root_name(),
            pack=self.pack,
            broken_limit=self.broken_limit,
            fps=self.frame_rate(),
            timed=self.has_times(),
        )
        return plan.add("clips", "clips", config, {"listing": listing})
