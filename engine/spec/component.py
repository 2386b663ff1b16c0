"""The bases of everything a spec can name: data sets, methods, protocols and the configurations of stages.

A stage folder declares its components in ``spec.py`` as subclasses of ``Data``, ``Method`` or ``Protocol``;
``engine.spec.discover`` finds them. Nothing here, and no ``spec.py``, may import torch.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Mapping, Sequence

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

if TYPE_CHECKING:
    from engine.compile.plan import Plan, Source
    from engine.run.local import Local

Name = Annotated[str, StringConstraints(pattern=r"^[A-Za-z][A-Za-z0-9_-]*$", max_length=60)]
"""A word that may stand in a stage name: letters, digits, ``_`` and ``-``."""

ModelRef = Annotated[str, StringConstraints(pattern=r"^[A-Za-z][A-Za-z0-9_-]*(\.[A-Za-z][A-Za-z0-9_-]*)*$")]
"""A model, or one output of a model that has several: ``infonce-rgb`` or ``coclr.rgb``."""


class Strict(BaseModel):
    """A frozen, strict model: unknown keys, wrong types and NaN are errors."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False, validate_default=True)


def neutral(value: Any, **kwargs: Any) -> Any:
    """A field that was added later: while it equals ``value`` it is left out of stage files.

    So a new field does not change the identity of results that were computed before it existed.
    """
    return Field(default=value, json_schema_extra={"neutral": True}, **kwargs)


class Problem(Strict):
    """Something wrong in a spec, found after its shape was validated. ``path`` leads to the offending value."""

    path: tuple[str | int, ...]
    message: str


class StageConfig(Strict):
    """What one stage reads from its stage file. Each stage folder's ``spec.py`` has a subclass named ``Config``."""

    def forecast(self, inputs: Mapping[str, Path], local: Local, expected: Mapping[str, int]) -> str | None:
        """What running the stage will cost (disk, steps), for ``vidspec plan``; None if nothing can be said yet.

        inputs: role -> folder, for those inputs that exist by now. expected: what the data set says of its size, see
        ``Data.expected``. Reads little and computes nothing heavy; a UserError that it raises is shown as its message.
        """
        return None


class Data(Strict):
    """A data set. Subclasses have ``kind: Literal[...]``."""

    role: ClassVar[str] = "data"
    tag: ClassVar[str] = "kind"

    def plan(self, plan: Plan) -> Source:
        """Add the stages that prepare the data; returns the output that trainings and evaluations read."""
        raise NotImplementedError

    def expected(self) -> Mapping[str, int]:
        """Items of each split (``train``, ``test``) that the spec says the set has, before it is looked at; for forecasts."""
        return {}

    def root_name(self) -> str | None:
        """Name under which the machine's root folder of the data is found at run time; None if it needs none."""
        return None


class Method(Strict):
    """How a model is trained. Subclasses have ``method: Literal[...]``."""

    role: ClassVar[str] = "method"
    tag: ClassVar[str] = "method"

    def starts_from(self) -> Mapping[tuple[str, ...], str]:
        """Models this one is initialised from: path of the field inside the model -> reference."""
        return {}

    def members(self) -> Mapping[tuple[str | int, ...], str]:
        """Models whose predictions this one combines: path of the field inside the model -> reference.

        A model with members is not trained: ``plan`` is not called, and protocols measure it through ``combine``.
        """
        return {}

    def outputs(self) -> tuple[str, ...]:
        """Names of the encoders this model yields; ``("",)`` for one that is called like the model itself."""
        return ("",)

    def problems(self, study: Any) -> list[Problem]:
        """What is wrong with this model in this study (paths are relative to the model)."""
        return []

    def plan(self, plan: Plan, name: str, seed: int) -> Mapping[str, Source]:
        """Add the stages that train model ``name`` with ``seed``; returns one source for each of ``outputs()``."""
        raise NotImplementedError


class Protocol(Strict):
    """How models are measured. Subclasses have ``protocol: Literal[...]``."""

    role: ClassVar[str] = "protocol"
    tag: ClassVar[str] = "protocol"
    metrics: ClassVar[tuple[str, ...]] = ()
    """Names of the metrics this protocol reports, as used in table columns (``top1``)."""
    combines: ClassVar[bool] = False
    """Whether the protocol can measure models that combine others (has ``combine``)."""

    name: Name | None = Field(default=None, description="Name in stages and tables; the protocol's own by default.")
    data: Name | None = Field(
        default=None, description="One of the study's `datasets`, to measure on; by default the study's own `data`."
    )
    models: tuple[ModelRef, ...] = Field(min_length=1, description="Models to measure.")

    @property
    def label(self) -> str:
        return self.name or self.protocol  # type: ignore[attr-defined]

    def problems(self, study: Any) -> list[Problem]:
        """What is wrong with this evaluation in this study (paths are relative to the evaluation)."""
        return []

    def plan(self, plan: Plan, model: str, encoders: Sequence[Source]) -> Source:
        """Add the stage that measures ``model`` over all seeds; ``encoders`` has one source a seed, in order.

        The stage returns metrics as ``{"seeds": {"0": {"top1": 0.5}}, "test_videos": 800, "chance": {"top1": 0.125}}``,
        fractions rather than per cent; ``chance`` is what guessing gives.
        """
        raise NotImplementedError

    def combine(self, plan: Plan, model: str, members: Mapping[str, Sequence[Source]]) -> Source:
        """Add the stage that measures ``model``, which combines the predictions of ``members``, over all seeds.

        members: reference -> its encoders, one a seed, in order. Called only where ``combines`` is true.
        """
        raise NotImplementedError
