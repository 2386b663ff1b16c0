"""MaskFeat: a transformer that predicts what is hidden from it (Wei et al., CVPR 2022)."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field

from engine.spec.component import ModelRef, Name, Problem, StageConfig, Strict
from stages.flow.spec import view_inputs
from stages.maskfeat.target_spec import FRAMES_PER_TOKEN, CubeMask, FeatureTarget, Grid, HogTarget, Mask, Target
from stages.nn.spec import (
    Encoder,
    Mvit,
    Precision,
    Trained,
    TransformerSchedule,
    encoded_view,
    init_problem,
    view_problem,
)
from stages.video.spec import Clip, View

if TYPE_CHECKING:
    from engine.compile.plan import Plan, Source
    from engine.run.local import Local
    from stages.study import Study

Share = Annotated[float, Field(gt=0, le=1)]


class MaskFeatSchedule(TransformerSchedule):
    """Length, optimiser and learning rate. Defaults: those of MaskFeat's public code for one batch of 32 clips."""

    optimizer: Literal["adam", "adamw", "sgd"] = "adamw"
    lr: float = Field(default=1e-4, gt=0, description="Grows with the batch: 1e-4 for 32 clips.")
    weight_decay: float = Field(default=0.05, ge=0)
    warmup_epochs: float = Field(default=10, ge=0, description="Linear warm-up from 0.")
    decay: Literal["step", "cosine", "none"] = "cosine"
    final_share: float = Field(default=0.01, ge=0, le=1, description="`cosine`: what lr falls to, as a share of it.")
    gradient_clip: float | None = Field(
        default=0.02, gt=0, description="Greatest length of all gradients together; longer ones are scaled down to it."
    )
    decay_vectors: bool = Field(default=False, description="Whether weight decay applies to biases and norms too.")


class Prediction(Strict):
    """What is hidden and what is predicted, alike in the spec and in the stage file. Defaults: MaskFeat's."""

    target: Target = HogTarget()
    mask: Mask = CubeMask()
    area: tuple[Share, Share] = Field(
        default=(0.5, 1.0),
        description="Least and greatest share of the picture that a random crop keeps. There is no other augmentation "
        "than that and mirroring: changed colours would change what is predicted.",
    )
    precision: Precision = "auto"


class MaskFeat(Trained, Prediction):
    """A transformer that is trained to predict, of clips with parts hidden, features of these parts.

    It is trained without the last stage's stride, so that a token stays small, and handed on with it.
    """

    method: Literal["maskfeat"]
    view: Name = "rgb"
    schedule: MaskFeatSchedule = MaskFeatSchedule()
    init: ModelRef | None = Field(default=None, description="Model of the same view and network to start from.")

    def starts_from(self) -> Mapping[tuple[str, ...], str]:
        found = {("init",): self.init} if self.init else {}
        if isinstance(self.target, FeatureTarget):
            found["target", "model"] = self.target.model
        return found

    def output_views(self) -> Mapping[str, str]:
        return {"": self.view}

    def problems(self, study: Study) -> list[Problem]:
        if found := view_problem(study, self, self.view, ("view",)):
            return [found]
        encoder, view = self.network(study), study.views[self.view]
        where = ("encoder",) if self.encoder else ()
        if not isinstance(encoder, Mvit):
            message = f"maskfeat trains transformers, not {encoder.kind}: set encoder to maskfeat_s, mvit_small or mvit_v2_s"
            return [Problem(path=where, message=message)]
        problems = []
        if view.channels != 3:
            message = f"maskfeat predicts pictures of three colours; view {self.view!r} has {view.channels} channels"
            problems.append(Problem(path=("view",), message=message))
        side = pretraining(encoder).token_side
        if message := self.target.refuses(side):
            problems.append(Problem(path=("target",), message=message))
        window = getattr(self.target, "gaussian_window", None)
        if window and study.clip.size % window:
            message = f"gaussian_window of {window} does not tile clips of {study.clip.size} pixels"
            problems.append(Problem(path=("target", "gaussian_window"), message=message))
        if getattr(encoder, "pool", "mean") == "class_token":
            message = (
                f"maskfeat trains no class token, which {encoder.kind} would hand on as what it says of a clip: set "
                "encoder.pool to mean"
            )
            problems.append(Problem(path=where, message=message))
        if self.schedule.warmup_epochs >= self.schedule.epochs:
            message = (
                f"the learning rate would rise for all of the {self.schedule.epochs} epochs: set warmup_epochs below that"
            )
            problems.append(Problem(path=("schedule",), message=message))
        if message := self.mask.refuses(study.clip.frames, study.clip.size, side):
            problems.append(Problem(path=("mask",), message=message))
        if self.area[0] > self.area[1]:
            message = f"area goes from {self.area[0]:g} to {self.area[1]:g}: write the smaller share first"
            problems.append(Problem(path=("area",), message=message))
        if isinstance(self.target, FeatureTarget) and (found := self._teacher_problem(study, self.target.model)):
            problems.append(found)
        if self.init and (found := init_problem(study, self, self.view, self.init, ("init",))):
            problems.append(found)
        if self.init and getattr(self.encoder, "weights", None):
            message = "init would overwrite the pretrained weights of this encoder: drop one of the two"
            problems.append(Problem(path=("init",), message=message))
        return problems

    def plan(self, plan: Plan, name: str, seed: int) -> Mapping[str, Source]:
        study = plan.study
        config = Config(
            view_name=self.view,
            view=study.views[self.view],
            clip=study.clip,
            encoder=self.network(study),
            schedule=self.schedule,
            **{field: getattr(self, field) for field in Prediction.model_fields},
        )
        inputs = view_inputs(plan, study.views[self.view])
        if self.init:
            inputs["init"] = plan.model(self.init, seed)
        if isinstance(self.target, FeatureTarget):
            inputs["teacher"] = plan.model(self.target.model, seed)
        return {"": plan.add("maskfeat", f"{name}.s{seed}", config, inputs, seed=seed)}

    def _teacher_problem(self, study: Study, ref: str) -> Problem | None:
        path = ("target", "model")
        if not isinstance(study.model_outputs()[ref], Trained):
            return Problem(path=path, message=f"model {ref!r} is no encoder of a view that could be a teacher")
        view = encoded_view(study, ref)
        if study.views.get(view) != study.views[self.view]:
            return Problem(
                path=path, message=f"model {ref!r} encodes view {view!r}, this one {self.view!r}: a teacher sees the same"
            )
        return None


class Config(StageConfig, Prediction):
    """Inputs: ``clips``, ``init`` where the training starts from another model, ``teacher`` for a target of features.

    encoder: as it is handed on.
    """

    view_name: Name
    view: View
    clip: Clip
    encoder: Encoder
    schedule: MaskFeatSchedule

    @property
    def grid(self) -> Grid:
        """Tokens that are predicted, in time, height and width."""
        side = self.clip.size // pretraining(self.encoder).token_side
        return self.clip.frames // FRAMES_PER_TOKEN, side, side

    def forecast(self, inputs: Mapping[str, Path], local: Local, expected: Mapping[str, int]) -> str | None:
        from stages.nn.cost import training_forecast

        passes = 3  # forward and backward, of all tokens, whether hidden or not
        return training_forecast(
            pretraining(self.encoder), self.view, self.clip, self.schedule, self.precision, passes, inputs.get("clips"),
            expected,
        )  # fmt: skip


def pretraining(encoder: Mvit) -> Mvit:
    """The same network without the last stage's stride, as MaskFeat trains it."""
    return encoder.model_copy(update={"last_stride": False})
