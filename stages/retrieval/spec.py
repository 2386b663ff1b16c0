"""The protocol ``retrieval``: whether the videos nearest to a video show the same class."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal, Mapping, Sequence

from pydantic import Field

from engine.spec.component import StageConfig
from stages.features.spec import Measured, plan_features

if TYPE_CHECKING:
    from engine.compile.plan import Plan, Source

DEPTHS = (1, 5, 10, 20, 50)
"""Numbers of neighbours at which recall is reported."""

Centre = Literal["none", "train", "own"]


class Config(StageConfig):
    """Inputs: ``clips``, and ``features`` of one model, or of several whose cosines are averaged."""

    centre: Centre
    pictured: int


class Retrieval(Measured):
    """Test videos ask for the training videos nearest to them, by the cosine of their features.

    Recall at k is the share of test videos with at least one video of their class among the k nearest. Nothing is
    trained.
    """

    protocol: Literal["retrieval"]
    metrics: ClassVar[tuple[str, ...]] = tuple(f"recall_at_{k}" for k in DEPTHS)

    combines: ClassVar[bool] = True

    centre: Centre = Field(
        default="train",
        description="Mean that is subtracted from features first. train: that of the training videos, so that a test video's "
        "result depends on no other test video; own: each set its own mean, which looks at the test set as a whole "
        "(transductive), as CoCLR's code does; none.",
    )
    pictured: int = Field(
        default=8, ge=1, le=40, description="Queries shown with their neighbours in the picture."
    )

    def plan(self, plan: Plan, model: str, encoders: Sequence[Source]) -> Source:
        return self.combine(plan, model, {model: encoders})

    def combine(self, plan: Plan, model: str, members: Mapping[str, Sequence[Source]]) -> Source:
        look = self.look(plan.study)
        features = tuple(plan_features(plan, ref, encoders, look, self.label) for ref, encoders in members.items())
        config = Config(centre=self.centre, pictured=self.pictured)
        return plan.add("retrieval", f"{self.label}.{model}", config, {"clips": plan.data, "features": features})
