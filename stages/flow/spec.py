"""Configuration of the flow stage, and how a plan gets flow for a view that is made of it."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import chain, count
from pathlib import Path
from typing import TYPE_CHECKING

from engine.spec.component import StageConfig
from stages.video.flow_spec import Flow, FlowAlgorithm, FlowStorage, Precomputed
from stages.video.spec import View

if TYPE_CHECKING:
    from engine.compile.plan import Plan, Source
    from engine.run.local import Local


class Config(StageConfig):
    """Inputs: ``clips``. Flow is computed on the frames as the clips stage packed them, so that it fits them pixel by pixel."""

    algorithm: FlowAlgorithm
    bound: float
    storage: FlowStorage

    def forecast(self, inputs: Mapping[str, Path], local: Local, expected: Mapping[str, int]) -> str | None:
        """Fields still to compute, time and disk, from the sizes and lengths of the videos once these are known."""
        extracted = isinstance(self.algorithm, Precomputed)
        if extracted:
            local.root(self.algorithm.root)  # says so if it is not set
        if "clips" not in inputs:
            return f"flow fields to {'read' if extracted else 'compute'}: known once the videos are checked"
        from stages.flow.cost import extracted_line, forecast_line, missing, pairs_of
        from stages.video.clips import Clips
        from stages.video.flows import FlowShelf

        clips = Clips(inputs["clips"], local)
        pairs = pairs_of(clips.frames)
        if extracted:  # which files are new is known once all have been looked at
            return extracted_line(pairs, clips.sizes, self.storage.kind)
        shelf = FlowShelf.of(clips.source.frames_key, self.algorithm, self.bound, self.storage)
        todo = missing(local.store_folder, shelf, clips.digests)
        return forecast_line(pairs, clips.sizes, todo, self.algorithm, shelf.kind)


def view_inputs(plan: Plan, *views: View) -> dict[str, Source]:
    """What a stage reads to see ``views``: the clips, and the flow if one of the views is made of it.

    Views that differ only in what a network sees of the flow share one stage, called ``flow``; another way of computing it has the
    view's algorithm in its name.
    """
    inputs = {"clips": plan.data}
    for view in views:
        if view.kind == "flow":
            inputs["flow"] = plan_flow(plan, view)
    return inputs


def plan_flow(plan: Plan, view: Flow) -> Source:
    """Add the stage that computes the flow of ``view``, or find the one that does so already.

    Flow that was extracted before is looked at in every run, like a data set, so that files that changed are noticed.
    """
    config = Config(algorithm=view.algorithm, bound=view.bound, storage=view.storage)
    inputs = {"clips": plan.data}
    for stage in plan.stages.values():
        if stage.kind == "flow" and stage.config == config and dict(stage.inputs) == inputs:
            return stage.output
    names = chain(["flow", f"flow-{view.algorithm.kind}"], (f"flow-{view.algorithm.kind}-{n}" for n in count(2)))
    name = next(name for name in names if not plan.has(name))
    return plan.add("flow", name, config, inputs, always_changed=isinstance(view.algorithm, Precomputed))
