"""The protocol ``finetune``: how well classes are told apart when the whole network is trained for it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from pydantic import Field

from engine.spec.component import Problem, StageConfig, Strict, neutral
from stages.classify.spec import Augmentation, CropKind, HeldOut, Mix, RandAugment
from stages.classify.spec import Config as ClassifyConfig
from stages.features.spec import Measured, Windows, model_view_inputs
from stages.nn.spec import Encoder, Mvit, Precision, TransformerSchedule, encoded_view
from stages.random.spec import Random
from stages.two_stream.spec import average_probabilities
from stages.video.spec import Clip, View

if TYPE_CHECKING:
    from engine.compile.plan import Plan, Source
    from engine.run.local import Local
    from stages.study import Study


class FinetuneSchedule(TransformerSchedule):
    """Length, optimiser and learning rate (of the linear layer). Defaults: CoCLR's."""

    epochs: int = Field(default=500, ge=1)
    weight_decay: float = Field(default=1e-3, ge=0)
    milestones: tuple[Annotated[float, Field(gt=0, lt=1)], ...] = Field(
        default=(0.8, 0.9),
        description="`step`: fractions of the training at which the learning rates fall tenfold.",
    )


class HeldOutEpochs(HeldOut):
    """Training videos that are not trained on, to choose an epoch by."""

    every: int = Field(
        default=10, ge=1, description="Epochs between two looks at them; the last epoch is always looked at."
    )
    windows: Windows = 1


class Recipe(Strict):
    """What a training does against overfitting, alike in the spec and in the stage file.

    By default what CoCLR does; MaskFeat asks for nearly all of it.
    """

    augmentation: Augmentation = neutral(Augmentation())
    mix: Mix | None = neutral(None, description="Mixup and CutMix; none by default.")
    label_smoothing: float = neutral(
        0.0, ge=0, lt=1, description="Part of each label that is spread evenly over all classes."
    )
    layer_decay: float | None = neutral(
        None,
        gt=0,
        le=1,
        description="Transformers: the learning rate of each layer over that of the next one.",
    )
    drop_path: float | None = neutral(
        None,
        ge=0,
        lt=1,
        description="Transformers: how often the last block is skipped for a clip; from 0 it rises evenly over the "
        "blocks. By default as the encoder has it: 0.2 in mvit_v2_s, else 0.",
    )
    head_scale: float = neutral(
        1.0, gt=0, description="What the initial weights of the linear layer are multiplied with."
    )


class Config(StageConfig, Recipe):
    """One training.

    Inputs: ``clips``, ``flow`` where the view is made of it, and ``init``, the encoder to start from.
    """

    view: View
    clip: Clip
    encoder: Encoder
    schedule: FinetuneSchedule
    backbone_lr: float
    dropout: float
    precision: Precision
    held_out: HeldOutEpochs | None = None

    def forecast(self, inputs: Mapping[str, Path], local: Local, expected: Mapping[str, int]) -> str | None:
        from stages.nn.cost import train_videos, training_forecast

        videos = train_videos(inputs["clips"]) if "clips" in inputs else expected.get("train")
        share = self.held_out.share if self.held_out else 0.0
        trained = {} if videos is None else {"train": round(videos * (1 - share))}
        passes = 3  # of each video: forward and backward
        held_as = 1 + 4 + (4 if self.mix else 0)  # as loaded, normalised and mixed
        return training_forecast(
            self.encoder, self.view, self.clip, self.schedule, self.precision, passes, None, trained,
            self.augmentation.repeats, held_as,
        )  # fmt: skip


class Finetune(Measured, Recipe):
    """The whole network and a linear layer, trained on the training videos, measured once on the test videos.

    Each seed's encoder is trained by itself. Class probabilities of a test video are the mean over windows and crops;
    ``clip_top1`` and ``clip_top5`` are accuracies of single clips, without any mean. Nothing is chosen on test videos.
    """

    protocol: Literal["finetune"]
    metrics: ClassVar[tuple[str, ...]] = ("top1", "top5", "mean_class", "clip_top1", "clip_top5")
    combines: ClassVar[bool] = True

    windows: Windows = "half_overlap"
    precision: Precision = "auto"
    schedule: FinetuneSchedule = FinetuneSchedule()
    backbone_lr: float | None = Field(
        default=None,
        gt=0,
        description="Learning rate of the encoder. Without it: a tenth of schedule.lr, as in CoCLR's code, but "
        "schedule.lr itself with layer_decay, and for a model with random weights (CoCLR's authors advise milestones "
        "0.6 and 0.8 then).",
    )
    dropout: float = Field(
        default=0.9, ge=0, lt=1, description="Of the features before the linear layer, in training."
    )
    select: Literal["last", "held_out"] = Field(
        default="last",
        description="Which weights are tested. last: those at the end. held_out: those of the epoch that does best on "
        "a held-out part of the training videos, which is then not trained on.",
    )
    held_out: HeldOutEpochs = HeldOutEpochs()
    crops: CropKind = Field(
        default="ten",
        description="What is cut out of the picture of a test clip. centre: the largest square in the middle; five: "
        "smaller squares in the middle and in the corners; ten: these, each mirrored too.",
    )
    crop_share: float = Field(
        default=224 / 256,
        gt=0,
        le=1,
        description="Side of the five or ten squares over the short side of the picture.",
    )

    def problems(self, study: Study) -> list[Problem]:
        found = super().problems(study)
        given = self.model_fields_set
        if self.select == "last" and "held_out" in given:
            message = "held_out: these settings have no effect with select: last"
            found.append(Problem(path=("held_out",), message=message))
        if self.select == "held_out" and self.held_out.every > self.schedule.epochs:
            every = self.held_out.every
            message = f"held_out.every: {every} is more than the {self.schedule.epochs} epochs there are"
            found.append(Problem(path=("held_out", "every"), message=message))
        if self.crops == "centre" and "crop_share" in given:
            message = "crop_share has no effect with crops: centre, which takes the largest square"
            found.append(Problem(path=("crop_share",), message=message))
        return found + self._recipe_problems(study) + self._clip_column_problems(study)

    def plan(self, plan: Plan, model: str, encoders: Sequence[Source]) -> Source:
        study = plan.study
        look, trained = self.look(study), study.model_outputs()[model]
        inputs = model_view_inputs(plan, model)
        whole_rate = self.layer_decay is not None or _untrained(trained, study)
        training = Config(
            view=study.views[encoded_view(study, model)],
            clip=look.clip,
            encoder=trained.network(study),
            schedule=self.schedule,
            backbone_lr=self.backbone_lr or self.schedule.lr * (1.0 if whole_rate else 0.1),
            dropout=self.dropout,
            precision=self.precision,
            held_out=self.held_out if self.select == "held_out" else None,
            **{field: getattr(self, field) for field in Recipe.model_fields},
        )
        name = f"{self.label}.{model}"
        classifiers = [
            plan.add("finetune", f"{name}.s{seed}", training, {**inputs, "init": encoder}, seed=seed)
            for seed, encoder in zip(study.seeds, encoders, strict=True)
        ]
        share = 1.0 if self.crops == "centre" else self.crop_share
        test = ClassifyConfig(seeds=study.seeds, look=look, crops=self.crops, crop_share=share)
        return plan.add("classify", name, test, {**inputs, "models": tuple(classifiers)})

    def combine(self, plan: Plan, model: str, members: Mapping[str, Sequence[Source]]) -> Source:
        each = [self.plan(plan, member, encoders) for member, encoders in members.items()]
        return average_probabilities(plan, f"{self.label}.{model}", each)

    def _recipe_problems(self, study: Study) -> list[Problem]:
        """Settings for transformers with other networks, and for pictures with other views."""
        found = []
        area = self.augmentation.area
        if area[0] > area[1]:
            message = f"area goes from {area[0]:g} to {area[1]:g}: write the smaller share first"
            found.append(Problem(path=("augmentation", "area"), message=message))
        for ref in self.models:
            model = study.model_outputs()[ref]
            for member in model.members().values() or (ref,):
                trained = study.model_outputs()[member]
                view = study.views[encoded_view(study, member)]
                if not isinstance(trained.network(study), Mvit):
                    for field in ("layer_decay", "drop_path"):
                        if getattr(self, field) is not None:
                            kind = trained.network(study).kind
                            message = f"{field} is for transformers (mvit_v2_s, maskfeat_s, mvit_small ...); {member} is {kind}"
                            found.append(Problem(path=(field,), message=message))
                if view.kind == "flow" and (isinstance(self.augmentation.colours, RandAugment) or self.augmentation.erase_share):
                    message = f"{member} sees flow, which rand_augment and erase_share do not know how to change"
                    found.append(Problem(path=("augmentation",), message=message))
        return list({problem.message: problem for problem in found}.values())

    def _clip_column_problems(self, study: Study) -> list[Problem]:
        """Rows of combined models in columns of single clips, of which their members share none."""
        columns = {f"{self.label}.{metric}" for metric in self.metrics if metric.startswith("clip_")}
        found = []
        for name, table in study.tables.items():
            asked = sorted(columns.intersection(table.columns))
            for i, model in enumerate(self.models):
                if asked and model in table.rows and study.model_outputs()[model].members():
                    message = (
                        f"{model} averages probabilities of whole videos and has no {asked[0]}, which table {name!r} "
                        "asks for: take that column or this row out of the table"
                    )
                    found.append(Problem(path=("models", i), message=message))
        return found


def _untrained(model: object, study: Study) -> bool:
    return isinstance(model, Random) and getattr(model.network(study), "weights", None) is None
