"""InfoNCE against a queue of keys (MoCo on clips: CoCLR's first stage), and UberNCE, its supervised bound."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Literal, Mapping

from pydantic import Field

from engine.spec.component import ModelRef, Name, Problem, StageConfig, Strict
from stages.flow.spec import view_inputs
from stages.nn.spec import Encoder, Precision, Schedule, Trained, init_problem, view_problem
from stages.video.spec import Clip, View

if TYPE_CHECKING:
    from engine.compile.plan import Plan, Source
    from engine.run.local import Local
    from stages.study import Study


class Contrast(Strict):
    """The contrastive part, alike in the spec and in the stage file. Defaults: CoCLR's."""

    temperature: float = Field(default=0.07, gt=0)
    dim: int = Field(default=128, ge=2, description="Width of the embedding.")
    queue: int = Field(default=2048, ge=2, description="Keys that are kept: 2048 for UCF101, 16384 for Kinetics.")
    momentum: float = Field(default=0.999, ge=0, le=1, description="Of the slow encoder that makes the keys.")
    positives: Literal["own", "label"] = Field(
        default="own", description="own: InfoNCE. label: every queued key of the same class too, which is UberNCE."
    )
    sum: Literal["inside", "outside"] = Field(
        default="outside",
        description="Sum over positives inside the logarithm, or mean outside of it as in UberNCE's public code. "
        "The same when the own key is the only positive.",
    )
    shuffle_bn: Literal["none", "split"] = Field(
        default="split",
        description="split: BatchNorm takes its statistics over half batches, the keys' in a random order, as on the "
        "paper's two GPUs. none: query and key share the statistics of one batch, which lets a network cheat.",
    )
    precision: Precision = "auto"


class InfoNCE(Trained, Contrast):
    """An encoder of one view trained to tell its own key from those of other videos."""

    method: Literal["infonce"]
    view: Name = "rgb"
    schedule: Schedule = Schedule()
    init: ModelRef | None = Field(default=None, description="Model of the same view and network to start from.")

    def starts_from(self) -> Mapping[tuple[str, ...], str]:
        return {("init",): self.init} if self.init else {}

    def output_views(self) -> Mapping[str, str]:
        return {"": self.view}

    def problems(self, study: Study) -> list[Problem]:
        found = view_problem(study, self, self.view, ("view",))
        problems = [found] if found else []
        if self.init and (found := init_problem(study, self, self.view, self.init, ("init",))):
            problems.append(found)
        if self.init and self.encoder and getattr(self.encoder, "weights", None):
            message = "init would overwrite the pretrained weights of this encoder: drop one of the two"
            problems.append(Problem(path=("init",), message=message))
        if self.queue < self.schedule.batch:
            message = f"queue has {self.queue} keys, fewer than a batch of {self.schedule.batch}: make it a batch at least"
            problems.append(Problem(path=("queue",), message=message))
        if self.shuffle_bn == "split" and self.schedule.batch < 4:
            message = "shuffle_bn: split needs a batch of 4 at least, so that each half has two clips"
            problems.append(Problem(path=("shuffle_bn",), message=message))
        return problems

    def plan(self, plan: Plan, name: str, seed: int) -> Mapping[str, Source]:
        study = plan.study
        contrast = {field: getattr(self, field) for field in Contrast.model_fields}
        config = Config(
            view_name=self.view,
            view=study.views[self.view],
            clip=study.clip,
            encoder=self.network(study),
            schedule=self.schedule,
            **contrast,
        )
        inputs = view_inputs(plan, study.views[self.view])
        if self.init:
            inputs["init"] = plan.model(self.init, seed)
        return {"": plan.add("infonce", f"{name}.s{seed}", config, inputs, seed=seed)}


class Config(StageConfig, Contrast):
    """Inputs: ``clips``, and ``init`` where the training starts from another model."""

    view_name: Name
    view: View
    clip: Clip
    encoder: Encoder
    schedule: Schedule

    def forecast(self, inputs: Mapping[str, Path], local: Local, expected: Mapping[str, int]) -> str | None:
        from stages.nn.cost import training_forecast

        passes = 4  # of each video: query forward and backward, key forward
        where = inputs.get("clips")
        return training_forecast(
            self.encoder, self.view, self.clip, self.schedule, self.precision, passes, where, expected
        )
