from __future__ import annotations

from typing import ClassVar, Literal

from engine.spec.component import Protocol, StageConfig


class Config(StageConfig):
    seeds: tuple[int, ...]


class Score(Protocol):
    protocol: Literal["score"]
    metrics: ClassVar = ("top1",)

    def plan(self, plan, model, encoders):
        return plan.add("score", f"{self.label}.{model}", Config(seeds=plan.study.seeds), {"models": encoders})
