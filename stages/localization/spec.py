"""The protocol ``localization``: how well a head on frozen snippet features finds what happens when."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from pydantic import Field

from engine.spec.component import Problem, Protocol, StageConfig, Strict
from stages.annotations.spec import Untrimmed
from stages.class_scores.spec import Config as ClassScoresConfig
from stages.class_scores.spec import ScoreFile
from stages.classify.spec import HeldOut
from stages.detect.spec import Config as DetectConfig
from stages.detect.spec import Scoring
from stages.linear_probe.spec import Lbfgs
from stages.nn.spec import Precision, Schedule, Trained, encoded_view
from stages.published_features.spec import PublishedFeatures
from stages.snippets.spec import Snippets, plan_snippets
from stages.tal.head_spec import Head
from stages.untrimmed.spec import SyntheticUntrimmed

if TYPE_CHECKING:
    from engine.compile.plan import Plan, Source
    from engine.run.local import Local
    from stages.study import Study

ANNOTATED = (Untrimmed, SyntheticUntrimmed)
"""Kinds of data that come with annotations."""
STEPS = tuple(f"map_{percent}" for percent in range(5, 100, 5))


class HeadSchedule(Schedule):
    """Length, optimiser and learning rate. Defaults: G-TAD's for ActivityNet; LoFi searches lr from 0.0002 to 0.005."""

    epochs: int = Field(default=10, ge=1)
    batch: int = Field(default=16, ge=1, description="Videos in a step.")
    lr: float = Field(default=4e-3, gt=0)
    weight_decay: float = Field(default=1e-4, ge=0)
    milestones: tuple[Annotated[float, Field(gt=0, lt=1)], ...] = Field(
        default=(0.5,), description="`step`: fractions of the training at which lr falls tenfold."
    )


class HeldOutVideos(HeldOut):
    """Training videos to choose by: the classifier's regulariser always, the head's epoch with `select: held_out`."""

    every: int = Field(
        default=1,
        ge=1,
        description="Epochs between two looks at the head's loss on them; the last is always looked at.",
    )


class Config(StageConfig):
    """One training of a head and of a classifier of whole videos.

    Inputs: ``annotations``, ``snippets`` with the features of the stage's seed, and ``encoder``, which made them; it is
    handed on, so that the result is a whole detector. Published features have none.
    """

    head: Head
    schedule: HeadSchedule
    classifier: Lbfgs
    select: Literal["last", "held_out"]
    held_out: HeldOutVideos

    def forecast(self, inputs: Mapping[str, Path], local: Local, expected: Mapping[str, int]) -> str | None:
        if not (videos := expected.get("train")):
            return None
        steps = self.schedule.epochs * (videos // self.schedule.batch)
        length = f"{self.schedule.epochs} epochs in batches of {self.schedule.batch} videos"
        return f"{length}: {steps:,} steps of the head alone"


class Thresholds(Strict):
    """tIoU from which on a segment counts as found, evenly spaced. Defaults: ActivityNet's; THUMOS14: 0.3, 0.7, 5."""

    first: float = Field(default=0.5, gt=0, le=1)
    last: float = Field(default=0.95, gt=0, le=1)
    count: int = Field(default=10, ge=1, le=50)
    literal: bool = Field(
        default=False,
        description="The numbers as one would write them down. The official evaluation has 0.8999999999999999 for 0.9.",
    )

    def values(self) -> list[float]:
        """The thresholds."""
        from stages.tal.detection_map import tiou_thresholds

        return tiou_thresholds(self.first, self.last, self.count, self.literal).tolist()

    def names(self) -> tuple[str, ...]:
        """Metrics of single thresholds: ``map_50`` and the like."""
        return tuple(f"map_{100 * value:.6g}".replace(".", "_") for value in self.values())


class Localization(Protocol):
    """G-TAD's head, trained from scratch on frozen features of training videos for each seed, measured on test videos.

    ``map`` is the mean over classes and thresholds, ``map_50`` and so on that at single thresholds. Classes come from
    scores of whole videos: ``map_own`` from a classifier of the same features, ``map_external`` from a file,
    ``map_oracle`` from the ground truth, which says what knowing the classes would bring (not a strict bound: scores
    below 1 also order the detections of different videos). `class_scores` says which of the first two ``map`` is.
    ``ar_at_100`` and ``auc`` are of class-agnostic proposals, over tIoU 0.5 to 0.95 whatever `thresholds` are; ``top1`` is the classifier's accuracy.
    """

    protocol: Literal["localization"]
    metrics: ClassVar[tuple[str, ...]] = (
        "map", *STEPS, "map_own", "map_external", "map_oracle",
        "ar_at_1", "ar_at_5", "ar_at_10", "ar_at_100", "auc", "top1",
    )  # fmt: skip

    snippets: Snippets = Snippets()
    precision: Precision = Field(default="fp32", description="Of the encoder. The head computes in fp32.")
    head: Head = Head()
    schedule: HeadSchedule = HeadSchedule()
    classifier: Lbfgs = Lbfgs()
    select: Literal["last", "held_out"] = Field(
        default="last",
        description="Which weights of the head are tested. last: those at the end. held_out: those of the epoch of "
        "lowest loss on a held-out part of the training videos, which the head is then not trained on. Test videos "
        "choose nothing.",
    )
    held_out: HeldOutVideos = HeldOutVideos()
    thresholds: Thresholds = Thresholds()
    class_scores: Literal["own", "external"] = "own"
    external: ScoreFile | None = Field(
        default=None, description="A file with class scores of the test videos."
    )
    clean_truth: bool = Field(
        default=False,
        description="Leave double and zero-length segments out of the ground truth, as some tools do. The official "
        "evaluation counts them.",
    )
    without_features: Literal["leave_out", "missed"] = Field(
        default="leave_out",
        description="Test videos that cannot be read or have no published features: not evaluated, or their segments "
        "count as missed.",
    )

    def problems(self, study: Study) -> list[Problem]:
        found = [*self._model_problems(study), *self._column_problems(study)]
        data = study.datasets[self.data] if self.data else study.data
        if not isinstance(data, ANNOTATED):
            message = (
                f"{self.label} needs untrimmed videos with annotated segments: data of kind activitynet, thumos14 or "
                "synthetic_untrimmed"
            )
            found.append(Problem(path=("data",) if self.data else (), message=message))
        if self.class_scores == "external" and self.external is None:
            message = "class_scores: external needs a file: name it in `external`"
            found.append(Problem(path=("class_scores",), message=message))
        if self.thresholds.first > self.thresholds.last:
            message = f"thresholds: first is {self.thresholds.first}, more than last"
            found.append(Problem(path=("thresholds", "first"), message=message))
        return found

    def plan(self, plan: Plan, model: str, encoders: Sequence[Source]) -> Source:
        study = plan.study
        data = study.datasets[self.data] if self.data else study.data
        annotations = data.listing(plan)
        published = isinstance(study.model_outputs()[model], PublishedFeatures)
        features = (
            encoders[0]
            if published
            else plan_snippets(plan, model, encoders, annotations, self.snippets, self.precision, self.label)
        )
        training = Config(
            head=self.head,
            schedule=self.schedule,
            classifier=self.classifier,
            select=self.select,
            held_out=self.held_out,
        )
        inputs = {"annotations": annotations, "snippets": features}
        name = f"{self.label}.{model}"
        heads = []
        for seed, encoder in zip(study.seeds, encoders, strict=True):
            own = inputs if published else {**inputs, "encoder": encoder}
            heads.append(plan.add("localization", f"{name}.s{seed}", training, own, seed=seed))
        if self.external is not None:
            config = ClassScoresConfig(scores=self.external)
            scores = plan.add(
                "class_scores",
                f"class_scores-{self.label}",
                config,
                {"annotations": annotations},
                always_changed=True,
            )
            inputs["class_scores"] = scores
        scoring = Scoring(
            thresholds=tuple(self.thresholds.values()),
            class_scores=self.class_scores,
            clean_truth=self.clean_truth,
            without_features=self.without_features,
        )
        config = DetectConfig(
            seeds=study.seeds, inference=self.head.inference, parity=self.head.parity, scoring=scoring
        )
        return plan.add("detect", name, config, {**inputs, "heads": tuple(heads)})

    def _model_problems(self, study: Study) -> list[Problem]:
        """Models without features, and encoders that cannot take the snippets."""
        found = []
        for i, ref in enumerate(self.models):
            model = study.model_outputs()[ref]
            if isinstance(model, PublishedFeatures):
                if self.data:
                    message = f"{ref}: published features are of the study's own data, not of {self.data!r}"
                    found.append(Problem(path=("models", i), message=message))
            elif not isinstance(model, Trained):
                found.append(
                    Problem(path=("models", i), message=f"{ref} is no encoder whose features could be taken")
                )
            elif refusal := model.network(study).refuses(
                self.snippets.clip, study.views[encoded_view(study, ref)]
            ):
                found.append(Problem(path=("snippets",), message=f"{ref}: {refusal}"))
        return found

    def _column_problems(self, study: Study) -> list[Problem]:
        """Columns of tables that ask for what these settings do not measure."""
        found = []
        for name, table in study.tables.items():
            asked = [c.split(".", 1)[1] for c in table.columns if c.split(".", 1)[0] == self.label]
            if odd := [
                metric for metric in asked if metric in STEPS and metric not in self.thresholds.names()
            ]:
                measured = ", ".join(self.thresholds.names())
                message = f"table {name!r} asks for {odd[0]}, but the thresholds give {measured}"
                found.append(Problem(path=("thresholds",), message=message))
            if "map_external" in asked and self.external is None:
                message = f"table {name!r} asks for map_external: name a file in `external`"
                found.append(Problem(path=(), message=message))
        return found
