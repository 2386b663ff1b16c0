"""The one place where the engine meets ``stages``: finding what specs can name and what stages can be run."""

from __future__ import annotations

import importlib
import inspect
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Annotated, Any, Literal, Union, get_args

from pydantic import Field

from engine.errors import UserError
from engine.spec.component import Data, Method, Protocol, StageConfig

BUILT_IN = {"report": "engine.report"}
"""Stage kinds of the engine itself."""


def stages_folder() -> Path:
    """The folder of the ``stages`` package that is in use."""
    return Path(importlib.import_module("stages").__file__).parent


@cache
def stage_kinds() -> dict[str, str]:
    """Kind -> package, for every folder in ``stages`` that has a ``stage.py``, and the engine's own."""
    found = {p.parent.name: f"stages.{p.parent.name}" for p in sorted(stages_folder().glob("*/stage.py"))}
    return {**BUILT_IN, **found}


def config_class(kind: str) -> type[StageConfig]:
    """Class of the configuration of a stage kind: ``Config`` in its ``spec.py``."""
    return importlib.import_module(f"{_package(kind)}.spec").Config


def stage_module(kind: str) -> ModuleType:
    """The module with the ``run`` of a stage kind."""
    return importlib.import_module(f"{_package(kind)}.stage")


def store_modules() -> list[ModuleType]:
    """Modules ``stages/*/store.py``: each has ``unused(store, results)``, what it may delete of the bulk store."""
    return [importlib.import_module(f"stages.{p.parent.name}.store") for p in sorted(stages_folder().glob("*/store.py"))]


def study_class() -> type:
    """The Pydantic model of a whole spec, as the stages define it."""
    return importlib.import_module("stages.study").Study


def one_of(role: Literal["data", "method", "protocol"]) -> Any:
    """The union of all components of a role, told apart by their tag (``kind``, ``method``, ``protocol``)."""
    base = {"data": Data, "method": Method, "protocol": Protocol}[role]
    members = components(base)
    if not members:
        raise UserError(f"no {role} is defined in any stages/*/spec.py")
    union = Union[tuple(members.values())]  # noqa: UP007 - built at run time
    return Annotated[union, Field(discriminator=base.tag)] if len(members) > 1 else union


@cache
def components(base: type) -> dict[str, type]:
    """Tag -> class of every component derived from ``base`` in ``stages/*/spec.py``."""
    found: dict[str, type] = {}
    for path in sorted(stages_folder().glob("*/spec.py")):
        module = importlib.import_module(f"stages.{path.parent.name}.spec")
        for _, cls in inspect.getmembers(module, inspect.isclass):
            if not issubclass(cls, base) or cls.__module__ != module.__name__ or base.tag not in cls.model_fields:
                continue
            for tag in get_args(cls.model_fields[base.tag].annotation):
                if tag in found:
                    raise UserError(f"{base.tag} {tag!r} is defined twice: {found[tag].__module__}, {module.__name__}")
                found[tag] = cls
    return found


def _package(kind: str) -> str:
    try:
        return stage_kinds()[kind]
    except KeyError:
        raise UserError(f"no stage kind {kind!r}; there are: {', '.join(sorted(stage_kinds()))}") from None
