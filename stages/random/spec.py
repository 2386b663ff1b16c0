"""An encoder with random weights: the row of a table that says what no training at all is worth."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, Mapping

from engine.spec.component import Name, Problem, StageConfig
from stages.nn.spec import Encoder, Trained, view_problem
from stages.video.spec import Clip, View

if TYPE_CHECKING:
    from engine.compile.plan import Plan, Source
    from stages.study import Study


class Random(Trained):
    """An encoder as it is before any training (with pretrained ``weights``: as those leave it)."""

    method: Literal["random"]
    view: Name = "rgb"

    def output_views(self) -> Mapping[str, str]:
        return {"": self.view}

    def problems(self, study: Study) -> list[Problem]:
        found = view_problem(study, self, self.view, ("view",))
        return [found] if found else []

    def plan(self, plan: Plan, name: str, seed: int) -> Mapping[str, Source]:
        study = plan.study
        config = Config(view_name=self.view, view=study.views[self.view], clip=study.clip, encoder=self.network(study))
        return {"": plan.add("random", f"{name}.s{seed}", config, {}, seed=seed)}


class Config(StageConfig):
    """No inputs."""

    view_name: Name
    view: View
    clip: Clip
    encoder: Encoder
