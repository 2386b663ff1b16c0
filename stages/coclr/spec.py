"""CoCLR: two views of the same clips train each other, each mining positives for the other in turns."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, Mapping, Union

from pydantic import AfterValidator, Field

from engine.spec.component import ModelRef, Name, Problem, StageConfig, Strict
from engine.spec.explain import choices, nearest
from stages.flow.spec import view_inputs
from stages.nn.spec import Encoder, Precision, Schedule, Trained, init_problem, view_problem
from stages.video.spec import Clip, View

if TYPE_CHECKING:
    from engine.compile.plan import Plan, Source
    from engine.run.local import Local
    from stages.study import Study


class Keep(Strict):
    """The own key is always a positive, as in InfoNCE. After a warm-up little is learnt: the loss starts near zero."""

    kind: Literal["keep"]


class Drop(Strict):
    """At times the own key is taken out of the positives of queries that have others, as CoCLR's code does."""

    kind: Literal["drop"] = "drop"
    probability: float = Field(default=0.9, ge=0, le=1)
    per: Literal["iteration", "sample"] = Field(
        default="iteration", description="Whether a draw holds for a whole batch, as in CoCLR's code, or for one query."
    )
    becomes: Literal["negative", "ignored"] = Field(
        default="negative",
        description="negative: it stays in the denominator and is pushed away, as in CoCLR's code. ignored: it is in "
        "neither.",
    )


OwnPositive = Annotated[Union[Keep, Drop], Field(discriminator="kind")]


class HalfCycle(Schedule):
    """Length, optimiser and learning rate of one half-cycle. Defaults: CoCLR's on UCF101; on Kinetics 50 epochs."""

    epochs: int = Field(default=100, ge=1)
    milestones: tuple[Annotated[float, Field(gt=0, lt=1)], ...] = Field(
        default=(0.8,), description="`step`: fractions of the half-cycle at which lr falls tenfold."
    )


class CoTraining(Strict):
    """How a half-cycle learns, alike in the spec and in the stage file. Defaults: CoCLR's public code."""

    temperature: float = Field(default=0.07, gt=0)
    dim: int = Field(default=128, ge=2, description="Width of the embedding; that of the models to start from.")
    queue: int = Field(default=2048, ge=2, description="Keys that are kept: 2048 for UCF101, 16384 for Kinetics.")
    momentum: float = Field(default=0.999, ge=0, le=1, description="Of the slow encoder that makes the keys.")
    topk: int = Field(default=5, ge=0, description="Positives mined for each query; 0 leaves the rest of the method.")
    own_positive: OwnPositive = Field(default=Drop(), description="Whether a query's own key is one of its positives.")
    same_source: Literal["positive", "negative", "ignore"] = Field(
        default="positive",
        description="Queued clips of the query's own source video (`group` in the data), which are never mined. "
        "positive: in the numerator, as in CoCLR's code; where the clips of a source are of one class, as in UCF101, "
        "it brings in labels. negative: in the denominator alone, like any other clip. ignore: in neither.",
    )
    fill: Literal["wait", "train"] = Field(
        default="wait",
        description="While the queue is being filled. wait: nothing is trained, which takes queue / batch steps, as in "
        "CoCLR's code. train: positives are mined from what is there.",
    )
    hand_on: Literal["last", "lowest_loss"] = Field(
        default="last",
        description="Which weights a half-cycle ends with. lowest_loss: those after the epoch of the lowest mean loss, "
        "which may be an early one, when mining has hardly begun to tell: `last` is CoCLR's choice.",
    )
    shuffle_bn: Literal["none", "split"] = Field(
        default="split",
        description="split: BatchNorm takes its statistics over half batches, the keys' in a random order, as on the "
        "paper's two GPUs. none: query and key share the statistics of one batch, which lets a network cheat.",
    )
    precision: Precision = "auto"


def _two_views(init: dict[str, str]) -> dict[str, str]:
    if len(init) != 2:
        raise ValueError(
            "coclr trains two views, each mining positives for the other, so init names two, like "
            f"{{rgb: MODEL, flow: MODEL}}; here are {len(init)}. For one view there is method infonce"
        )
    return init


class CoCLR(Trained, CoTraining):
    """Two encoders, one of each view, that are trained in turns on positives mined by the other.

    In every cycle first the first view of ``init`` is trained, with positives mined by the other view's latest network,
    then the other view with positives mined by the network just trained. Each of these half-cycles goes on from the
    view's latest network; optimiser, learning rate and queue begin anew. Outputs: ``<view>`` after all cycles,
    ``c<n>.<view>`` after the n-th.
    """

    method: Literal["coclr"]
    init: Annotated[dict[Name, ModelRef], AfterValidator(_two_views)] = Field(
        description="View -> model of that view to start from. The view that stands first is trained first."
    )
    cycles: int = Field(default=2, ge=1, description="2 on UCF101, 1 on Kinetics.")
    schedule: HalfCycle = HalfCycle()
    schedules: dict[Name, HalfCycle] = Field(default={}, description="View -> schedule, where a view has its own.")

    def starts_from(self) -> Mapping[tuple[str, ...], str]:
        return {("init", view): ref for view, ref in self.init.items()}

    def output_views(self) -> Mapping[str, str]:
        halves = {f"c{cycle}.{view}": view for cycle in range(1, self.cycles + 1) for view in self.init}
        return {**{view: view for view in self.init}, **halves}

    def problems(self, study: Study) -> list[Problem]:
        unknown = [found for view in self.init if (found := view_problem(study, self, view, ("init", view)))]
        return unknown or [*self._start_problems(study), *self._flow_problems(study), *self._size_problems()]

    def plan(self, plan: Plan, name: str, seed: int) -> Mapping[str, Source]:
        study = plan.study
        views = {view: study.views[view] for view in self.init}
        training = {field: getattr(self, field) for field in CoTraining.model_fields}
        latest = {view: plan.model(ref, seed) for view, ref in self.init.items()}
        halves = {}
        for cycle in range(1, self.cycles + 1):
            for trained in views:
                (other,) = views.keys() - {trained}
                config = Config(
                    view_name=trained,
                    view=views[trained],
                    other_name=other,
                    other=views[other],
                    clip=study.clip,
                    encoder=self.network(study),
                    schedule=self.schedules.get(trained, self.schedule),
                    **training,
                )
                inputs = view_inputs(plan, views[trained], views[other])
                inputs |= {"init": latest[trained], "miner": latest[other]}
                latest[trained] = plan.add("coclr", f"{name}.c{cycle}.{trained}.s{seed}", config, inputs, seed=seed)
                halves[f"c{cycle}.{trained}"] = latest[trained]
        return {**latest, **halves}

    def _start_problems(self, study: Study) -> list[Problem]:
        problems = []
        for view, ref in self.init.items():
            if found := init_problem(study, self, view, ref, ("init", view)):
                problems.append(found)
            elif (dim := getattr(study.model_outputs()[ref], "dim", self.dim)) != self.dim:
                message = f"dim is {self.dim}, that of model {ref!r} is {dim}: its head, which mines too, would be lost"
                path = ("dim",) if "dim" in self.model_fields_set else ("init", view)
                problems.append(Problem(path=path, message=message))
        if self.encoder and getattr(self.encoder, "weights", None):
            message = "init would overwrite the pretrained weights of this encoder: name the encoder without weights"
            problems.append(Problem(path=("encoder",), message=message))
        return problems

    def _flow_problems(self, study: Study) -> list[Problem]:
        flows = [view for name in self.init if (view := study.views[name]).kind == "flow"]
        if len({(view.algorithm, view.bound, view.storage) for view in flows}) < 2:
            return []
        message = "both views are made of flow, each of another: they must agree in algorithm, bound and storage"
        return [Problem(path=("init",), message=message)]

    def _size_problems(self) -> list[Problem]:
        problems = []
        for view in self.schedules:
            if view not in self.init:
                hint = f"{nearest(view, self.init)} Views: {choices(self.init)}"
                message = f"{view!r} is no view that is trained here.{hint}"
                problems.append(Problem(path=("schedules", view), message=message))
        if self.queue < self.topk:
            message = f"topk: {self.topk} positives cannot be mined from a queue of {self.queue} keys"
            problems.append(Problem(path=("topk",), message=message))
        schedules = {("schedule",): self.schedule} | {("schedules", v): s for v, s in self.schedules.items()}
        for path, schedule in schedules.items():
            if self.queue < schedule.batch:
                message = f"queue has {self.queue} keys, fewer than a batch of {schedule.batch}: make it one at least"
                problems.append(Problem(path=("queue",), message=message))
            if self.shuffle_bn == "split" and schedule.batch < 4:
                message = "shuffle_bn: split needs a batch of 4 at least, so that each half has two clips"
                problems.append(Problem(path=path, message=message))
        return problems


class Config(StageConfig, CoTraining):
    """One half-cycle. ``view`` is trained, ``other`` mines.

    Inputs: ``clips``, ``flow`` where one of the views is flow, ``init`` (the trained view's network so far) and
    ``miner`` (the other's).
    """

    view_name: Name
    view: View
    other_name: Name
    other: View
    clip: Clip
    encoder: Encoder
    schedule: HalfCycle

    def forecast(self, inputs: Mapping[str, Path], local: Local, expected: Mapping[str, int]) -> str | None:
        from stages.nn.cost import training_forecast

        passes = 5  # of each video: query forward and backward, key forward, miner forward
        where = inputs.get("clips")
        return training_forecast(
            self.encoder, self.view, self.clip, self.schedule, self.precision, passes, where, expected
        )
