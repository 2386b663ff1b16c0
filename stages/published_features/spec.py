"""The method ``published_features``: snippet features that somebody else computed, in place of an encoder."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Literal, NamedTuple

from pydantic import Field

from engine.spec.component import Method, Name, Problem, StageConfig, Strict

if TYPE_CHECKING:
    from engine.compile.plan import Plan, Source
    from engine.run.local import Local
    from stages.study import Study


class Timing(NamedTuple):
    """first: middle of the first row [s]; step: from one row to the next [s]."""

    first: float
    step: float


class Container(Strict):
    """How the features lie on disk. Files are called after the video, with or without `v_` before it."""

    root: Name = Field(description="Their folder is `datasets.<root>` in local.yaml or VIDSPEC_ROOT_<ROOT>.")
    format: Literal["npy", "csv", "hdf5"] = Field(
        description="npy: a file <video>.npy for each video. csv: <video>.csv with a line of column names, as in BSN's "
        "csv_mean_100. hdf5: one file, in which each video is a data set (needs the package h5py)."
    )
    file: str = Field(default="", description="hdf5: the file; else a folder of files. Relative to the root.")
    layout: Literal["rows", "columns"] = Field(
        default="rows", description="Whether an array is [snippets, width] or [width, snippets]."
    )
    snippets: int = Field(
        default=100,
        ge=1,
        description="L, to which every video is brought by linear interpolation; as it is where it has L.",
    )
    seconds: float | None = Field(
        default=None,
        gt=0,
        description="Seconds from one row to the next, such as 16 / fps, with row i in the middle of its time; without "
        "it and `stride`, the rows of a video fill it evenly.",
    )
    stride: float | None = Field(
        default=None,
        gt=0,
        description="Frames from one row to the next, in place of `seconds`: row i is of the frames from i * stride to "
        "i * stride + window.",
    )
    window: float | None = Field(
        default=None, gt=0, description="Frames that a row was made of; as many as `stride` by default."
    )
    fps: float | None = Field(
        default=None, gt=0, description="Frames a second that the features were made from; `stride` needs it."
    )

    @property
    def timing(self) -> Timing | None:
        """When rows are; None where they fill a video evenly."""
        if self.seconds is not None:
            return Timing(self.seconds / 2, self.seconds)
        if self.stride is None or self.fps is None:
            return None
        window = self.stride if self.window is None else self.window
        return Timing(window / 2 / self.fps, self.stride / self.fps)

    def contradiction(self) -> tuple[str, str] | None:
        """Name of a field and what does not fit about the times of rows, if anything."""
        if self.stride is None:
            lonely = [name for name in ("window", "fps") if getattr(self, name) is not None]
            return (lonely[0], f"{lonely[0]} says nothing without stride: give both") if lonely else None
        if self.seconds is not None:
            return "seconds", "seconds and stride both say when rows are: drop one of the two"
        if self.fps is None:
            return "stride", (
                "stride is in frames and needs fps, the frames a second that the features were made from: "
                "annotations and features do not say it"
            )
        return None


class Config(StageConfig):
    """Inputs: ``annotations``. Files are looked at in every run, so that new ones are noticed."""

    container: Container
    seeds: tuple[int, ...]
    missing_limit: float

    def forecast(self, inputs: Mapping[str, Path], local: Local, expected: Mapping[str, int]) -> str | None:
        local.root(self.container.root)  # says so if it is not set
        return None


class PublishedFeatures(Container, Method):
    """Features for ``localization``, the only protocol that can measure them; they stand for all seeds."""

    method: Literal["published_features"]
    missing_limit: float = Field(
        default=0.1,
        ge=0,
        le=1,
        description="Share of the annotated videos that may be without features; they are left out.",
    )

    def problems(self, study: Study) -> list[Problem]:
        found = []
        if self.format == "hdf5" and not self.file:
            found.append(Problem(path=("file",), message="file: name the hdf5 file below the root"))
        if wrong := self.contradiction():
            field, message = wrong
            found.append(Problem(path=(field,), message=message))
        own = {name for name, model in study.models.items() if model is self}
        for evaluation in study.evaluate:
            if evaluation.protocol != "localization" and own & set(evaluation.models):
                message = f"{evaluation.label} needs an encoder: measure published features by localization"
                found.append(Problem(path=(), message=message))
        return found

    def plan(self, plan: Plan, name: str, seed: int) -> Mapping[str, Source]:
        container = Container(**{field: getattr(self, field) for field in Container.model_fields})
        config = Config(container=container, seeds=plan.study.seeds, missing_limit=self.missing_limit)
        inputs = {"annotations": plan.study.data.listing(plan)}
        return {"": plan.add("published_features", name, config, inputs, always_changed=True)}
