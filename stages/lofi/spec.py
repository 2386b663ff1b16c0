"""The method ``lofi``: encoder and localisation head trained together on whole videos, at low fidelity.

Xu et al.: "Low-Fidelity Video Encoder Optimization for Temporal Action Localization" (NeurIPS 2021).
"""

from __future__ import annotations

from collections.abc import Mapping
from math import sqrt
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import AfterValidator, Field

from engine.spec.component import ModelRef, Name, Problem, StageConfig, Strict
from stages.flow.spec import view_inputs
from stages.localization.spec import ANNOTATED
from stages.nn.spec import Encoder, Precision, Schedule, Trained, init_problem, view_problem
from stages.snippets.spec import Snippets
from stages.tal.head_spec import Head
from stages.video.spec import View

if TYPE_CHECKING:
    from engine.compile.plan import Plan, Source
    from engine.run.local import Local
    from stages.study import Study

Low = Literal["S", "T", "ST"]
Fidelity = Literal["full", "S", "T", "ST"]


def _each_once(order: tuple[Low, ...]) -> tuple[Low, ...]:
    if len(set(order)) < len(order):
        raise ValueError("names a configuration twice")
    return order


Order = Annotated[tuple[Low, ...], AfterValidator(_each_once), Field(min_length=2)]


class Long(Strict):
    """Another configuration every ``period`` epochs: the paper's default, and its best."""

    kind: Literal["long"]
    order: Order = ("S", "T", "ST")
    period: int = Field(default=1, ge=1, description="Epochs.")


class Short(Strict):
    """Another configuration every ``period`` batches."""

    kind: Literal["short"]
    order: Order = ("S", "T", "ST")
    period: int = Field(default=16, ge=1, description="Batches.")


class Constant(Strict):
    """One configuration all the time. ``full`` takes much memory, or ``chunk``; the paper had neither."""

    kind: Literal["constant"]
    fidelity: Fidelity


Cycle = Annotated[Long | Short | Constant, Field(discriminator="kind")]


class Reduction(Strict):
    """How much less is seen: side / ``space`` pixels and snippets / ``time``, to the nearest whole number."""

    space: float = Field(default=1, ge=1, description="The paper's r_s.")
    time: float = Field(default=1, ge=1, description="The paper's r_t.")


class Configurations(Strict):
    """The three ways to see less. Defaults: the paper's, a quarter of the pixels each."""

    S: Reduction = Reduction(space=2)
    T: Reduction = Reduction(time=4)
    ST: Reduction = Reduction(space=sqrt(2), time=2)

    def of(self, fidelity: Fidelity) -> Reduction:
        """How one of them reduces; ``full`` does not."""
        return Reduction() if fidelity == "full" else getattr(self, fidelity)


class LofiSchedule(Schedule):
    """Length, optimiser and learning rate: ``lr`` times ``factor`` for every ``every`` epochs that are over.

    Defaults: the paper's, but for ``epochs``."""

    epochs: int = Field(
        default=15, ge=1, description="Not stated in the paper. 15: five long cycles, in which lr is halved twice."
    )
    batch: int = Field(default=16, ge=1, description="Videos.")
    optimizer: Literal["adam", "adamw", "sgd"] = "sgd"
    lr: float = Field(default=0.1, gt=0)
    weight_decay: float = Field(default=1e-4, ge=0)
    momentum: float = Field(default=0, ge=0, lt=1, description="SGD only.")
    decay: Literal["step", "cosine", "none"] = Field(default="none", description="Beside that by `factor`.")
    factor: float = Field(default=0.5, gt=0, le=1)
    every: int = Field(default=5, ge=1, description="Epochs.")


class EndToEnd(Strict):
    """What is alike in the spec and in the stage file."""

    snippets: Snippets = Field(default=Snippets(), description="A video at full fidelity.")
    cycle: Cycle = Long(kind="long")
    configurations: Configurations = Configurations()
    head: Head = Field(default=Head(), description="Trained along, and thrown away.")
    schedule: LofiSchedule = LofiSchedule()
    encoder_lr: float | None = Field(
        default=None, gt=0, description="Learning rate of the encoder; schedule.lr, as for the head, by default."
    )
    gradient_norm: float | None = Field(default=None, gt=0, description="Longer gradients are shortened to it.")
    frozen_norm: bool = Field(
        default=True,
        description="BatchNorm keeps the statistics that the encoder came with. The paper does not say; peers do so, "
        "and the statistics of each configuration differ.",
    )
    augment: Literal["none", "crop"] = Field(
        default="crop",
        description="crop: one random crop and flip for all of a video. The paper does not say whether it augments.",
    )
    micro_batch: int | None = Field(
        default=None,
        ge=1,
        description="Videos in memory at a time, over which gradients add up to those of the batch; by default all.",
    )
    chunk: int | None = Field(
        default=None,
        ge=1,
        description="Snippets that are encoded at a time, computed again in the backward pass: far less memory for a "
        "third more work. Without it all of a micro-batch at once.",
    )
    precision: Precision = "auto"

    def fidelities(self) -> tuple[Fidelity, ...]:
        """Those that the training goes through, in order."""
        return (self.cycle.fidelity,) if isinstance(self.cycle, Constant) else self.cycle.order

    def seen(self, fidelity: Fidelity) -> Snippets:
        """What the encoder is shown of a video then."""
        from stages.lofi.schedule import reduced

        return reduced(self.snippets, self.configurations.of(fidelity))

    @property
    def at_once(self) -> int:
        """Videos in memory at a time."""
        return min(self.micro_batch or self.schedule.batch, self.schedule.batch)


class Lofi(Trained, EndToEnd):
    """An encoder trained by the loss of G-TAD's head on untrimmed videos; evaluations see the encoder alone."""

    method: Literal["lofi"]
    view: Name = "rgb"
    init: ModelRef | None = Field(default=None, description="Model of the same view and network to start from.")

    def starts_from(self) -> Mapping[tuple[str, ...], str]:
        return {("init",): self.init} if self.init else {}

    def output_views(self) -> Mapping[str, str]:
        return {"": self.view}

    def problems(self, study: Study) -> list[Problem]:
        found = [view_problem(study, self, self.view, ("view",))]
        if self.init:
            found.append(init_problem(study, self, self.view, self.init, ("init",)))
        pretrained = getattr(self.network(study), "weights", None)
        if self.init and getattr(self.encoder, "weights", None):
            message = "init would overwrite the pretrained weights of this encoder: drop one of the two"
            found.append(Problem(path=("init",), message=message))
        if not isinstance(study.data, ANNOTATED):
            message = (
                "lofi needs untrimmed videos with annotated segments: data of kind activitynet, thumos14 or "
                "synthetic_untrimmed"
            )
            found.append(Problem(path=("method",), message=message))
        if self.frozen_norm and not self.init and not pretrained:
            message = (
                "frozen_norm keeps BatchNorm's statistics, and those of random weights are none: start from a model "
                "(init) or from pretrained weights, or set frozen_norm: false"
            )
            found.append(Problem(path=("frozen_norm",), message=message))
        if self.chunk and not self.frozen_norm:
            message = "chunk needs frozen_norm: BatchNorm would take its statistics over a chunk, and twice"
            found.append(Problem(path=("chunk",), message=message))
        if self.view in study.views:
            found += self._fidelity_problems(study)
        return [problem for problem in found if problem]

    def plan(self, plan: Plan, name: str, seed: int) -> Mapping[str, Source]:
        study = plan.study
        shared = {field: getattr(self, field) for field in EndToEnd.model_fields} | {"head": self.head.thrown_away()}
        config = Config(view_name=self.view, view=study.views[self.view], encoder=self.network(study), **shared)
        inputs = {**view_inputs(plan, study.views[self.view]), "annotations": study.data.listing(plan)}
        if self.init:
            inputs["init"] = plan.model(self.init, seed)
        return {"": plan.add("lofi", f"{name}.s{seed}", config, inputs, seed=seed)}

    def _fidelity_problems(self, study: Study) -> list[Problem]:
        """Configurations that the network cannot take."""
        found = []
        for fidelity in self.fidelities():
            seen = self.seen(fidelity)
            if refusal := self.network(study).refuses(seen.clip, study.views[self.view]):
                where = ("snippets",) if fidelity == "full" else ("configurations", fidelity)
                message = f"{fidelity}, {seen.count} snippets at {seen.size} pixels: {refusal}"
                found.append(Problem(path=where if self.model_fields_set & {where[0]} else ("cycle",), message=message))
        return found


class Config(StageConfig, EndToEnd):
    """Inputs: ``clips``, ``flow`` where the view is made of it, ``annotations``, and ``init``, an encoder to start
    from, if there is one."""

    view_name: Name
    view: View
    encoder: Encoder

    def forecast(self, inputs: Mapping[str, Path], local: Local, expected: Mapping[str, int]) -> str | None:
        from stages.lofi.cost import forecast_line
        from stages.nn.cost import train_videos

        videos = train_videos(inputs["clips"]) if "clips" in inputs else expected.get("train")
        return forecast_line(self, videos)
