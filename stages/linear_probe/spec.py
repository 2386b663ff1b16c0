"""The protocol ``linear_probe``: how well classes are told apart by a linear classifier on a frozen encoder."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, ClassVar, Literal, Mapping, Sequence

from pydantic import Field

from engine.spec.component import Problem, StageConfig, Strict
from stages.classify.spec import HeldOut
from stages.features.spec import Look, Measured, model_view_inputs, plan_features
from stages.two_stream.spec import average_probabilities

if TYPE_CHECKING:
    from engine.compile.plan import Plan, Source
    from stages.study import Study

Positive = Annotated[float, Field(gt=0)]
NotNegative = Annotated[float, Field(ge=0)]


class Lbfgs(Strict):
    """Logistic regression on stored, standardised features, solved to its minimum."""

    l2: tuple[Positive, ...] = Field(
        default=(10.0, 3.0, 1.0, 0.3, 0.1, 0.03, 0.01, 3e-3, 1e-3, 3e-4, 1e-4, 3e-5, 1e-5),
        min_length=1,
        description="Regularisers to choose from: the weight of half the squared norm against the mean cross-entropy.",
    )
    iterations: int = Field(default=1000, ge=1, description="At most so many steps of L-BFGS for each fit.")


class Sgd(Strict):
    """The probe of CoCLR's code: SGD on augmented clips; frozen encoder, L2 norm, batch norm, linear layer."""

    lr: tuple[Positive, ...] = Field(
        default=(0.1,),
        min_length=1,
        description="With several values here or below, the best pair is chosen on held-out videos.",
    )
    weight_decay: tuple[NotNegative, ...] = Field(default=(1e-3,), min_length=1)
    momentum: float = Field(default=0.9, ge=0, lt=1)
    epochs: int = Field(default=100, ge=1)
    batch: int = Field(default=32, ge=2)
    milestones: tuple[Annotated[float, Field(gt=0, lt=1)], ...] = Field(
        default=(0.6, 0.8), description="Fractions of the training at which the learning rate falls tenfold."
    )


class Augmented(Strict):
    """What the ``sgd`` mode needs besides its settings."""

    sgd: Sgd
    look: Look
    seeds: tuple[int, ...]


class Config(StageConfig):
    """Inputs: ``clips``, and ``features`` for ``lbfgs`` or ``models`` (one encoder a seed) for ``augmented``."""

    held_out: HeldOut
    lbfgs: Lbfgs | None = None
    augmented: Augmented | None = None


class LinearProbe(Measured):
    """A linear classifier on the frozen encoder, fitted on the training videos, measured once on the test videos.

    Settings are chosen on a held-out part of the training videos, never on test videos; then the classifier is fitted on
    all training videos. ``lbfgs`` works on one stored feature a video; ``sgd`` on clips that are augmented anew in
    every epoch, and averages class probabilities over the windows of a test video.
    """

    protocol: Literal["linear_probe"]
    metrics: ClassVar[tuple[str, ...]] = ("top1", "top5", "mean_class")
    combines: ClassVar[bool] = True

    mode: Literal["lbfgs", "sgd"] = "lbfgs"
    held_out: HeldOut = HeldOut()
    lbfgs: Lbfgs = Lbfgs()
    sgd: Sgd = Sgd()

    def problems(self, study: Study) -> list[Problem]:
        found = super().problems(study)
        other = "sgd" if self.mode == "lbfgs" else "lbfgs"
        if other in self.model_fields_set:
            found.append(
                Problem(
                    path=(other,), message=f"{other}: these settings have no effect in mode {self.mode!r}"
                )
            )
        for path, values in (
            (("lbfgs", "l2"), self.lbfgs.l2),
            (("sgd", "lr"), self.sgd.lr),
            (("sgd", "weight_decay"), self.sgd.weight_decay),
        ):
            if len(set(values)) < len(values):
                found.append(Problem(path=path, message=f"{'.'.join(path)}: each value may stand once"))
        return found

    def plan(self, plan: Plan, model: str, encoders: Sequence[Source]) -> Source:
        look = self.look(plan.study)
        if self.mode == "lbfgs":
            config = Config(held_out=self.held_out, lbfgs=self.lbfgs)
            inputs = {"clips": plan.data, "features": plan_features(plan, model, encoders, look, self.label)}
        else:
            config = Config(
                held_out=self.held_out, augmented=Augmented(sgd=self.sgd, look=look, seeds=plan.study.seeds)
            )
            inputs = {**model_view_inputs(plan, model), "models": tuple(encoders)}
        return plan.add("linear_probe", f"{self.label}.{model}", config, inputs)

    def combine(self, plan: Plan, model: str, members: Mapping[str, Sequence[Source]]) -> Source:
        each = [self.plan(plan, member, encoders) for member, encoders in members.items()]
        return average_probabilities(plan, f"{self.label}.{model}", each)
