"""The method ``supervised``: an encoder trained to tell the classes of clips apart, by cross-entropy."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import Field

from engine.spec.component import ModelRef, Name, Problem, StageConfig, Strict
from engine.spec.explain import choices, nearest
from stages.flow.spec import view_inputs
from stages.localization.spec import ANNOTATED
from stages.nn.spec import Encoder, Precision, Schedule, Trained, init_problem, view_problem
from stages.video.spec import Clip, View

if TYPE_CHECKING:
    from engine.compile.plan import Plan, Source
    from engine.run.local import Local
    from stages.study import Study


class SupervisedSchedule(Schedule):
    """Length, optimiser and learning rate. Defaults: TSM's for Kinetics-400 (lr grows with the batch)."""

    epochs: int = Field(default=50, ge=1)
    batch: int = Field(default=128, ge=2)
    optimizer: Literal["adam", "adamw", "sgd"] = "sgd"
    lr: float = Field(default=0.02, gt=0)
    weight_decay: float = Field(default=1e-4, ge=0)
    milestones: tuple[Annotated[float, Field(gt=0, lt=1)], ...] = Field(
        default=(0.4, 0.8), description="`step`: fractions of the training at which lr falls tenfold."
    )


class Classification(Strict):
    """What is alike in the spec and in the stage file."""

    on: Literal["videos", "segments"] = Field(
        default="videos",
        description="videos: clips from anywhere in a video, of the video's own class (LoFi's ACP on trimmed videos). "
        "segments: clips from inside annotated segments, of the segment's class (ACP+).",
    )
    schedule: SupervisedSchedule = SupervisedSchedule()
    dropout: float = Field(default=0.5, ge=0, lt=1, description="Of the features before the linear layer, in training.")
    gradient_norm: float | None = Field(
        default=None, gt=0, description="Longer gradients are shortened to it; TSM's code has 20 for Kinetics-400."
    )
    precision: Precision = "auto"


class Supervised(Trained, Classification):
    """An encoder and a linear layer on random clips of the training videos; evaluations see the encoder alone."""

    method: Literal["supervised"]
    view: Name = "rgb"
    data: Name | None = Field(
        default=None, description="One of the study's `datasets`, to train on; by default the study's own `data`."
    )
    clip: Clip | None = Field(
        default=None,
        description="Clips of this training; fields that are not given here are those of the study's clip.",
    )
    init: ModelRef | None = Field(default=None, description="Model of the same view and network to start from.")

    def own_clip(self, study: Study) -> Clip:
        """What it trains on in ``study``."""
        return self.clip.completed_by(study.clip) if self.clip else study.clip

    def starts_from(self) -> Mapping[tuple[str, ...], str]:
        return {("init",): self.init} if self.init else {}

    def output_views(self) -> Mapping[str, str]:
        return {"": self.view}

    def problems(self, study: Study) -> list[Problem]:
        found = [view_problem(study, self, self.view, ("view",))]
        if self.clip and self.view in study.views:
            refusal = self.network(study).refuses(self.own_clip(study), study.views[self.view])
            found.append(Problem(path=("clip",), message=refusal) if refusal else None)
        if self.init:
            found.append(init_problem(study, self, self.view, self.init, ("init",)))
        if self.init and getattr(self.encoder, "weights", None):
            message = "init would overwrite the pretrained weights of this encoder: drop one of the two"
            found.append(Problem(path=("init",), message=message))
        found.append(self._data_problem(study))
        return [problem for problem in found if problem]

    def plan(self, plan: Plan, name: str, seed: int) -> Mapping[str, Source]:
        study = plan.study
        shared = {field: getattr(self, field) for field in Classification.model_fields}
        config = Config(
            view_name=self.view,
            view=study.views[self.view],
            clip=self.own_clip(study),
            encoder=self.network(study),
            **shared,
        )
        start = {"init": plan.model(self.init, seed)} if self.init else {}
        with plan.on(self.data) if self.data else nullcontext():
            inputs = view_inputs(plan, study.views[self.view]) | start
            if isinstance(data := self._data(study), ANNOTATED):
                inputs["annotations"] = data.listing(plan)
            return {"": plan.add("supervised", f"{name}.s{seed}", config, inputs, seed=seed)}

    def _data(self, study: Study) -> Any:
        return study.datasets[self.data] if self.data else study.data

    def _data_problem(self, study: Study) -> Problem | None:
        if self.data and self.data not in study.datasets:
            known = f"There are: {choices(study.datasets)}" if study.datasets else "The study has no `datasets`"
            message = f"no data set {self.data!r}.{nearest(self.data, study.datasets)} {known}"
            return Problem(path=("data",), message=message)
        if self.on == "segments" and not isinstance(self._data(study), ANNOTATED):
            message = (
                "on: segments needs untrimmed videos with annotated segments: data of kind activitynet, thumos14 or "
                "synthetic_untrimmed"
            )
            return Problem(path=("on",), message=message)
        return None


class Config(StageConfig, Classification):
    """Inputs: ``clips``, ``flow`` where the view is made of it, ``annotations`` of untrimmed videos, and ``init``, an
    encoder to start from, if there is one."""

    view_name: Name
    view: View
    clip: Clip
    encoder: Encoder

    def forecast(self, inputs: Mapping[str, Path], local: Local, expected: Mapping[str, int]) -> str | None:
        from stages.nn.cost import training_forecast

        passes = 3  # of each clip: forward and backward
        if self.on == "videos":
            where, known = inputs.get("clips"), expected
        else:
            segments = (
                _segments(inputs["annotations"], inputs["clips"]) if {"annotations", "clips"} <= set(inputs) else None
            )
            where, known = None, {} if segments is None else {"train": segments}
        return training_forecast(
            self.encoder, self.view, self.clip, self.schedule, self.precision, passes, where, known
        )


def _segments(annotations: Path, clips: Path) -> int:
    """Segments of training videos that are there."""
    import pyarrow.parquet as pq

    from stages.tal.annotations import Annotations

    instances = Annotations.open(annotations).instances
    table = pq.read_table(clips / "clips.parquet", columns=["path", "split"]).to_pylist()
    return sum(len(instances[row["path"]]) for row in table if row["split"] == "train")
