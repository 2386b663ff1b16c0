"""The mining protocol: how well the positives were chosen that a model was last trained on."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal, Sequence

from engine.spec.component import Problem, Protocol, StageConfig
from stages.coclr.spec import CoCLR

if TYPE_CHECKING:
    from engine.compile.plan import Plan, Source
    from stages.study import Study


class Config(StageConfig):
    """Inputs: ``metrics``, those of the half-cycle of each of ``seeds``, in order."""

    seeds: tuple[int, ...]


class Mining(Protocol):
    """What a half-cycle of CoCLR says of its last epoch: the mined positives that have the query's class, and recur.

    Measured on the training videos, as that is where positives are mined; their labels are used to report, never to
    train. Nothing is computed anew.
    """

    protocol: Literal["mining"]
    metrics: ClassVar[tuple[str, ...]] = ("precision", "overlap")

    def problems(self, study: Study) -> list[Problem]:
        outputs = study.model_outputs()
        return [
            Problem(path=("models", i), message=f"{ref!r} mines no positives: name an output of a model of method coclr")
            for i, ref in enumerate(self.models)
            if ref in outputs and not isinstance(outputs[ref], CoCLR)
        ]

    def plan(self, plan: Plan, model: str, encoders: Sequence[Source]) -> Source:
        inputs = {"metrics": [encoder.metrics for encoder in encoders]}
        return plan.add("mining", f"{self.label}.{model}", Config(seeds=plan.study.seeds), inputs)
