"""The part of a spec that has nothing to do with video; ``stages/study.py`` adds the rest."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from engine.spec.component import Method, Name, Protocol, Strict
from engine.spec.table import Table

Knob = int | float | bool | str | tuple[int | float | bool | str, ...]


class Paper(Strict):
    """The paper that a study reproduces."""

    title: str
    authors: str = ""
    venue: str = ""
    year: int | None = None
    arxiv: str | None = Field(default=None, pattern=r"^\d{4}\.\d{4,5}$")


class Resources(Strict):
    """What the stages of a study would like to run on. Not part of the identity of results; `local.yaml` wins."""

    device: str | None = Field(default=None, description="auto, cpu, cuda ...")
    threads: int | None = Field(default=None, ge=1)
    workers: int | None = Field(default=None, ge=0)


class BaseStudy(Strict):
    """A spec, validated: what data, which models, how they are measured, and the tables that come out."""

    spec: Literal[1] = Field(description="Version of the format.")
    name: Name
    title: str = ""
    paper: Paper | None = None
    knobs: dict[Name, Knob] = Field(default={}, description="Values for ablations; params.yaml may override them.")
    seeds: tuple[int, ...] = Field(default=(0,), min_length=1)
    resources: Resources = Resources()
    deviations: tuple[str, ...] = Field(default=(), description="Where the study departs from its paper.")
    tables: dict[Name, Table] = {}

    # Declared here for the engine's own use; the stages' study narrows their types.
    data: Any
    datasets: dict[Name, Any] = {}
    models: dict[Name, Any] = {}
    evaluate: tuple[Any, ...] = ()

    def model_outputs(self) -> dict[str, Method]:
        """Every name that an evaluation or another model may refer to -> its model."""
        found: dict[str, Method] = {}
        for name, model in self.models.items():
            for output in model.outputs():
                found[f"{name}.{output}" if output else name] = model
        return found

    def protocols(self) -> dict[str, Protocol]:
        """Label -> evaluation."""
        return {evaluation.label: evaluation for evaluation in self.evaluate}
