from __future__ import annotations

from typing import Literal

from pydantic import Field

from engine.spec.component import Method, ModelRef, StageConfig


class Config(StageConfig):
    power: int
    fail: bool


class Average(Method):
    method: Literal["average"]
    power: int = Field(default=1, ge=1, le=9)
    fail: bool = False
    parts: Literal[1, 2] = 1
    init: ModelRef | None = None

    def starts_from(self):
        return {("init",): self.init} if self.init else {}

    def plan(self, plan, name, seed):
        source = plan.data
        for part in range(self.parts):
            inputs = {"numbers": source} | ({"init": plan.model(self.init, seed)} if self.init else {})
            suffix = f".p{part}" if self.parts > 1 else ""
            source_ = plan.add("average", f"{name}{suffix}.s{seed}", Config(power=self.power, fail=self.fail), inputs, seed=seed)
        return {"": source_}
