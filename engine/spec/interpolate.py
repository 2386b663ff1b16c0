"""``${...}`` in specs: knobs and other values of the spec, by OmegaConf; every failure is reported, not the first alone."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any

from engine.spec.explain import Finding, nearest
from engine.spec.source import Path_, Place, Tree

_KNOB = re.compile(r"\$\{\s*knobs\.([A-Za-z0-9_-]+)\s*\}")
_ENV = re.compile(r"\$\{\s*oc\.env\s*:")

MACHINE_FIELDS = ("resources",)
"""Top-level keys that are no part of a result's identity, and may therefore read the environment."""


@dataclass
class Interpolated:
    """What became of the interpolations of a spec."""

    used_knobs: set[str] = field(default_factory=set)
    origins: dict[Path_, str] = field(default_factory=dict)  # path of a value -> the knob it came from
    problems: list[Finding] = field(default_factory=list)


def interpolate(tree: Tree) -> Interpolated:
    """Resolve all interpolations of ``tree`` in place."""
    result = Interpolated()
    leaves = list(_leaves(tree.data, ()))
    if not leaves:
        return result
    from omegaconf import OmegaConf
    from omegaconf.errors import OmegaConfBaseException

    config = OmegaConf.create({**tree.data, "__value__": None})
    knobs = tree.data.get("knobs") if isinstance(tree.data.get("knobs"), dict) else {}
    for path, text in leaves:
        place = tree.place(path)
        where = ".".join(map(str, path))
        names = _KNOB.findall(text)
        result.used_knobs.update(names)
        if unknown := [name for name in names if name not in knobs]:
            for name in unknown:
                allowed = ", ".join(knobs) or "none are declared"
                message = f"{where}: no knob {name!r}.{nearest(name, knobs)} Knobs of this spec: {allowed}"
                result.problems.append(Finding(place, message))
            continue
        if _ENV.search(text) and path[0] not in MACHINE_FIELDS:
            message = (
                f"{where}: ${{oc.env:...}} may stand under {', '.join(MACHINE_FIELDS)} and in local.yaml only, "
                "as what it yields here would change results from machine to machine"
            )
            result.problems.append(Finding(place, message))
            continue
        config["__value__"] = text
        try:
            value = config["__value__"]
        except OmegaConfBaseException as error:
            result.problems.append(Finding(place, f"{where}: {text}: {str(error).splitlines()[0]}"))
            continue
        _set(tree, path, OmegaConf.to_container(value, resolve=True) if OmegaConf.is_config(value) else value)
        if names:
            result.origins[path] = names[0]
    return result


def knob_place(tree: Tree, knob: str) -> Place | None:
    """Where the value of a knob was set: in params.yaml if that overrides it, else in the spec."""
    return tree.place(("knobs", knob))


def _leaves(value: Any, path: Path_) -> list[tuple[Path_, str]]:
    if isinstance(value, dict):
        return [leaf for key, v in value.items() for leaf in _leaves(v, (*path, key))]
    if isinstance(value, list):
        return [leaf for i, v in enumerate(value) for leaf in _leaves(v, (*path, i))]
    return [(path, value)] if isinstance(value, str) and "${" in value else []


def _set(tree: Tree, path: Path_, value: Any) -> None:
    parent = tree.get(path[:-1])
    parent[path[-1]] = value
