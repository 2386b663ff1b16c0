"""Two streams: the predictions of models of different views, averaged. A row of a table, not a training."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Literal

from pydantic import Field

from engine.spec.component import Method, ModelRef, Problem, StageConfig

if TYPE_CHECKING:
    from engine.compile.plan import Plan, Source
    from stages.study import Study


class TwoStream(Method):
    """Several trained models measured as one, seed by seed.

    Probes and finetuning average the class probabilities of each video, retrieval the cosines, all without weights, as CoCLR's
    code does.
    """

    method: Literal["two_stream"]
    streams: tuple[ModelRef, ...] = Field(min_length=2, description="The models, such as one of RGB and one of flow.")

    def members(self) -> Mapping[tuple[str | int, ...], str]:
        return {("streams", i): ref for i, ref in enumerate(self.streams)}

    def problems(self, study: Study) -> list[Problem]:
        twice = [i for i, ref in enumerate(self.streams) if ref in self.streams[:i]]
        return [Problem(path=("streams", i), message=f"{self.streams[i]!r} stands here twice") for i in twice]


class Config(StageConfig):
    """Inputs: ``clips``, and ``members``: evaluations that wrote ``probabilities.safetensors``."""


def average_probabilities(plan: Plan, name: str, members: Sequence[Source]) -> Source:
    """Add the stage that averages the class probabilities which the evaluations ``members`` found."""
    return plan.add("two_stream", name, Config(), {"clips": plan.data, "members": tuple(members)})
