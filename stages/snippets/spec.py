"""Configuration of the snippets stage: what a frozen encoder makes of every video at full fidelity."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import Field

from engine.spec.component import StageConfig, Strict
from stages.features.spec import model_view_inputs
from stages.nn.spec import Precision
from stages.video.spec import Clip

if TYPE_CHECKING:
    from engine.compile.plan import Plan, Source
    from engine.run.local import Local


class Snippets(Strict):
    """A video as a row of snippets, evenly spread over it: see ``stages.tal.geometry``. Defaults: LoFi's."""

    count: int = Field(default=100, ge=1, description="Snippets of a video, whatever its length: L.")
    frames: int = Field(default=8, ge=1, description="Frames of a snippet.")
    stride: int = Field(default=8, ge=1, description="Frames from one frame of a snippet to the next.")
    size: int = Field(
        default=224, ge=8, description="Pixels of a side; a square is cut from the middle of the picture."
    )

    @property
    def clip(self) -> Clip:
        """What the encoder sees at a time."""
        return Clip(frames=self.frames, stride=self.stride, size=self.size)


class Config(StageConfig):
    """Inputs: ``clips``, ``annotations``, ``flow`` where the view is made of it, ``models``: one for each seed."""

    seeds: tuple[int, ...]
    snippets: Snippets
    precision: Precision

    def forecast(self, inputs: Mapping[str, Path], local: Local, expected: Mapping[str, int]) -> str | None:
        if "clips" in inputs:
            from stages.video.clips import Clips

            videos = len(Clips(inputs["clips"], local))
        else:
            videos = sum(expected.values())
        one = self.snippets
        what = f"{one.count} snippets of {one.frames} frames at {one.size} pixels from each video"
        if not videos:
            return what
        return f"{what}: {videos * one.count * one.frames:,} frames through {len(self.seeds)} encoders"


def plan_snippets(
    plan: Plan,
    model: str,
    encoders: Sequence[Source],
    annotations: Source,
    snippets: Snippets,
    precision: Precision,
    label: str,
) -> Source:
    """Add the stage that encodes the snippets of all videos by ``model``, or find the one that does so already.

    It is called ``snippets.<model>``; one that differs from those before it is called after the protocol too:
    ``snippets-<label>.<model>``.
    """
    config = Config(seeds=plan.study.seeds, snippets=snippets, precision=precision)
    inputs = {**model_view_inputs(plan, model), "annotations": annotations, "models": tuple(encoders)}
    for stage in plan.stages.values():
        if stage.kind == "snippets" and stage.config == config and dict(stage.inputs) == inputs:
            return stage.output
    name = f"snippets-{label}.{model}" if plan.has(f"snippets.{model}") else f"snippets.{model}"
    return plan.add("snippets", name, config, inputs)
