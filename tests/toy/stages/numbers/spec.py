from __future__ import annotations

from typing import Literal

from pydantic import Field

from engine.spec.component import Data, StageConfig


class Config(StageConfig):
    count: int
    scale: float


class Numbers(Data):
    kind: Literal["numbers"]
    count: int = Field(default=10, ge=1)
    scale: float = 1.0

    def plan(self, plan):
        return plan.add("numbers", "numbers", Config(count=self.count, scale=self.scale), {})


class Listed(Data):
    """Numbers from a folder of the machine, looked at each time."""

    kind: Literal["listed"]
    name: str

    def plan(self, plan):
        from stages.numbers.spec import Config

        return plan.add("numbers", "listing", Config(count=3, scale=2.0), {}, always_changed=True)
