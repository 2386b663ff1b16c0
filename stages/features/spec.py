"""Configuration of the features stage, and the base of the protocols that measure models on stored features."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal, Sequence, Union

from pydantic import Field

from engine.spec.component import Problem, Protocol, StageConfig, Strict
from stages.flow.spec import view_inputs
from stages.nn.spec import Precision, Trained, encoded_view
from stages.video.spec import Clip

if TYPE_CHECKING:
    from engine.compile.plan import Plan, Source
    from stages.study import Study

Windows = Annotated[
    Union[Annotated[int, Field(ge=1)], Literal["half_overlap"]],
    Field(
        description="Clips taken from each video: a number, evenly spread over it (a video too short for so many "
        "different ones gives those it has), or `half_overlap`: one every half clip less one frame, the rest at the end "
        "left out, as CoCLR's code does (starts 0, 15, 30 ... for 32 frames)."
    ),
]


class Look(Strict):
    """How videos are shown to a trained encoder: which clips (cut from the centre of the picture), in which numbers."""

    clip: Clip
    windows: Windows
    precision: Precision


class Config(StageConfig):
    """Inputs: ``clips``, and ``models`` with one encoder for each of ``seeds``, in order."""

    seeds: tuple[int, ...]
    look: Look
    normalise: Literal["l2", "none"] = Field(
        default="l2",
        description="Whether the feature of each window is scaled to length 1 before the mean over windows.",
    )


class Measured(Protocol):
    """Base of protocols that show videos to frozen encoders."""

    clip: Clip | None = Field(
        default=None,
        description="Clips the models are measured on; fields that are not given here are those of the study's clip.",
    )
    windows: Windows = 10
    precision: Precision = "fp32"

    def look(self, study: Study) -> Look:
        """How this protocol shows the videos of ``study``."""
        clip = self.clip.completed_by(study.clip) if self.clip else study.clip
        return Look(clip=clip, windows=self.windows, precision=self.precision)

    def problems(self, study: Study) -> list[Problem]:
        """A clip of the protocol's own that an encoder cannot take."""
        if self.clip is None:
            return []
        found = []
        for i, ref in enumerate(self.models):
            model = study.model_outputs()[ref]
            if isinstance(model, Trained):
                views = {v: study.views[v] for v in model.output_views().values() if v in study.views}
                refusals = [
                    r for view in views.values() if (r := model.network(study).refuses(self.look(study).clip, view))
                ]
                found += [Problem(path=("clip",), message=f"{ref}: {refusal}") for refusal in refusals[:1]]
        return found


def model_view_inputs(plan: Plan, model: str) -> dict[str, Source]:
    """What a stage reads to show videos to ``model``: the clips, and the flow where its view is one."""
    study = plan.study
    return view_inputs(plan, study.views[encoded_view(study, model)])


def plan_features(plan: Plan, model: str, encoders: Sequence[Source], look: Look, label: str) -> Source:
    """Add the stage that computes the features of ``model``, or find the one that does so already.

    Protocols that look at the videos alike share ``features.<model>``. One that differs from those before it gets
    ``features-<label>.<model>``: named after the protocol rather than after its settings, so that
    changing a setting changes no names.
    """
    config = Config(seeds=plan.study.seeds, look=look)
    inputs = {**model_view_inputs(plan, model), "models": tuple(encoders)}
    for stage in plan.stages.values():
        if stage.kind == "features" and stage.config == config and dict(stage.inputs) == inputs:
            return stage.output
    name = f"features-{label}.{model}" if plan.has(f"features.{model}") else f"features.{model}"
    return plan.add("features", name, config, inputs)
