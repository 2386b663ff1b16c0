"""From a file in ``specs/`` to a validated study: reuse, knobs, interpolation, validation, wiring."""

from __future__ import annotations

import copy
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from engine.errors import UserError
from engine.spec.discover import study_class
from engine.spec.explain import Finding, SpecError, findings, nearest
from engine.spec.interpolate import interpolate, knob_place
from engine.spec.source import Path_, Tree, overlay, read_yaml
from engine.spec.study import BaseStudy
from engine.spec.wiring import wiring

PARAMS = "params.yaml"


@dataclass(frozen=True)
class Params:
    """``params.yaml``: which specs are selected, and values for their knobs."""

    tree: Tree
    specs: tuple[str, ...]

    def knobs(self, spec: str) -> Tree:
        return self.tree.sub(spec)


def load_params(root: Path) -> Params:
    """Read ``params.yaml`` below ``root``. Raises SpecError when its shape is wrong."""
    tree = read_yaml(root / PARAMS)
    specs = tree.data.get("specs") if isinstance(tree.data, dict) else None
    if not isinstance(specs, list) or not all(isinstance(s, str) for s in specs):
        raise SpecError([Finding(tree.place(("specs",)), "params.yaml needs `specs: [name, ...]`: the selected specs")])
    problems = []
    for key, value in tree.data.items():
        if key == "specs":
            continue
        if key not in specs and not spec_file(root, key).exists():
            message = f"{key!r} is neither `specs` nor the name of a spec.{nearest(key, _names(root))}"
            problems.append(Finding(tree.place((key,), key=True), message))
        elif not isinstance(value, dict):
            problems.append(Finding(tree.place((key,)), f"{key}: a mapping of knobs is needed (given: {value!r})"))
    for i, name in enumerate(specs):
        if not spec_file(root, name).exists():
            message = f"no spec {name!r} in specs/.{nearest(name, _names(root))} There are: {', '.join(_names(root))}"
            problems.append(Finding(tree.place(("specs", i)), message))
        elif name in specs[:i]:
            problems.append(Finding(tree.place(("specs", i)), f"spec {name!r} is selected twice"))
    if problems:
        raise SpecError(problems)
    return Params(tree, tuple(specs))


def spec_file(root: Path, name: str) -> Path:
    """``specs/<name>.yaml``, or with ``_`` for ``-``."""
    exact = root / "specs" / f"{name}.yaml"
    return exact if exact.exists() else root / "specs" / f"{name.replace('-', '_')}.yaml"


def _names(root: Path) -> list[str]:
    return sorted(p.stem for p in (root / "specs").glob("*.yaml"))


def load_study(path: Path, params: Params | None = None) -> BaseStudy:
    """Load and validate one spec, with the knobs of ``params`` if they name it.

    Raises SpecError with every problem, each with its place.
    """
    tree = _resolve_file(path, ())
    problems: list[Finding] = []
    if params is not None and isinstance(tree.data.get("name"), str):
        problems += _apply_knobs(tree, params, tree.data["name"])
    interpolated = interpolate(tree)
    problems += interpolated.problems
    knobs = tree.data.get("knobs")
    for knob in knobs if isinstance(knobs, dict) else ():
        if knob not in interpolated.used_knobs:
            place = tree.place(("knobs", knob), key=True)
            problems.append(Finding(place, f"knob {knob!r} is used nowhere in the spec: write ${{knobs.{knob}}} where it belongs, or delete it"))
    cls = study_class()
    study = None
    try:
        study = cls.model_validate_json(json.dumps(tree.data), strict=True)
    except ValidationError as error:
        bad = {f.place for f in problems}  # an interpolation that failed already says why
        for finding, raw in zip(findings(error, tree, cls), error.errors(include_url=False), strict=True):
            if finding.place in bad or (finding.place, raw["type"]) in bad:  # inherited by a model that extends this one
                continue
            bad.add((finding.place, raw["type"]))
            wrong_value = raw["type"] != "extra_forbidden"
            problems.append(_with_origin(finding, raw["loc"], tree, interpolated.origins) if wrong_value else finding)
    if study is not None:
        for problem in wiring(study):
            problems.append(_with_origin(Finding(tree.place(problem.path), problem.message), problem.path, tree, interpolated.origins))
        if path.stem.replace("_", "-") != study.name.replace("_", "-"):
            problems.append(Finding(tree.place(("name",)), f"the spec is called {study.name!r} but its file {path.name}: name both alike"))
    if problems:
        raise SpecError(problems)
    return study


def _with_origin(finding: Finding, loc: Path_, tree: Tree, origins: dict[Path_, str]) -> Finding:
    """Point at the knob too when the wrong value came from one."""
    from engine.spec.explain import data_path

    path = data_path(loc, tree)
    knob = next((origins[path[:n]] for n in range(len(path), 0, -1) if path[:n] in origins), None)
    if knob is None:
        return finding
    return Finding(finding.place, f"{finding.message} (the value is that of knob {knob!r}, set at {knob_place(tree, knob)})")


def _apply_knobs(tree: Tree, params: Params, name: str) -> list[Finding]:
    own = params.knobs(name)
    if not isinstance(own.data, dict):
        return []
    declared = tree.data.get("knobs")
    declared = declared if isinstance(declared, dict) else {}
    problems = []
    for knob in own.data:
        if knob not in declared:
            message = f"spec {name!r} has no knob {knob!r}.{nearest(knob, declared)} Its knobs: {', '.join(declared) or 'none'}"
            problems.append(Finding(own.place((knob,), key=True), message))
            continue
        declared[knob] = own.data[knob]
        tree.values[("knobs", knob)] = own.place((knob,)) or tree.values[("knobs", knob)]
    return problems


def _resolve_file(path: Path, above: tuple[Path, ...]) -> Tree:
    """Read a spec and put it on top of the spec that it extends; the same for its models."""
    tree = read_yaml(path)
    if not isinstance(tree.data, dict):
        raise SpecError([Finding(tree.place(()), "a spec is a mapping: `spec: 1`, `name: ...`, `data: ...`")])
    if path in above:
        chain = " -> ".join(p.stem for p in (*above[above.index(path) :], path))
        raise SpecError([Finding(tree.place(("extends",)), f"specs extend each other in a circle: {chain}")])
    if "extends" in tree.data:
        base_path = _base_file(tree, path)
        tree = _extend(_resolve_file(base_path, (*above, path)), tree)
    return _resolve_models(tree)


def _base_file(tree: Tree, path: Path) -> Path:
    name = tree.data["extends"]
    base = path.parent / f"{name}.yaml"
    base = base if base.exists() else path.parent / f"{str(name).replace('-', '_')}.yaml"
    if not base.exists():
        others = sorted(p.stem for p in path.parent.glob("*.yaml"))
        raise SpecError([Finding(tree.place(("extends",)), f"extends: no spec {name!r} beside this one.{nearest(name, others)}")])
    return base


def _extend(base: Tree, over: Tree) -> Tree:
    """``base``, with the keys beside ``extends`` put in place of its own, then ``with`` merged into it."""
    changes = over.sub("with")
    for key in [k for k in over.data if k not in ("extends", "with")]:
        base.data.pop(key, None)
        overlay(base, Tree({key: over.data[key]}, _only(over.keys, key), _only(over.values, key)))
    if isinstance(changes.data, dict):
        overlay(base, changes)
    elif changes.data is not None:
        raise SpecError([Finding(over.place(("with",)), "with: a mapping of what differs is needed")])
    return base


def _only(places: dict[Path_, Any], key: str) -> dict[Path_, Any]:
    return {p: place for p, place in places.items() if p[:1] == (key,)}


def _resolve_models(tree: Tree) -> Tree:
    models = tree.data.get("models")
    if not isinstance(models, dict):
        return tree
    done: dict[str, Tree] = {}

    def resolve(name: str, above: tuple[str, ...]) -> Tree:
        if name in above:
            chain = " -> ".join((*above[above.index(name) :], name))
            raise SpecError([Finding(tree.place(("models", name, "extends")), f"models extend each other in a circle: {chain}")])
        if name not in done:
            own = copy.deepcopy(tree.sub("models", name))
            if isinstance(own.data, dict) and "extends" in own.data:
                base = own.data["extends"]
                if base not in models:
                    message = f"models.{name}.extends: no model {base!r}.{nearest(base, models)} Models: {', '.join(models)}"
                    raise SpecError([Finding(tree.place(("models", name, "extends")), message)])
                own = _extend(copy.deepcopy(resolve(base, (*above, name))), own)
            done[name] = own
        return done[name]

    for name in list(models):
        if isinstance(models[name], dict) and "extends" in models[name]:
            resolved = resolve(name, ())
            models[name] = resolved.data
            for mine, theirs in ((tree.keys, resolved.keys), (tree.values, resolved.values)):
                for path in [p for p in mine if p[:2] == ("models", name) and len(p) > 2]:
                    del mine[path]
                mine.update({("models", name, *p): place for p, place in theirs.items() if p})
    return tree


def load_selected(root: Path) -> list[BaseStudy]:
    """All specs that ``params.yaml`` selects. Raises SpecError with the problems of all of them."""
    params = load_params(root)
    studies, problems = [], []
    for name in params.specs:
        try:
            studies.append(load_study(spec_file(root, name), params))
        except SpecError as error:
            problems += error.findings
    if problems:
        raise SpecError(problems)
    return studies


def find_spec(root: Path, name: str) -> Path:
    """A spec by name or by path. Raises UserError with the nearest name."""
    path = Path(name)
    if path.suffix == ".yaml" and path.exists():
        return path
    path = spec_file(root, name)
    if not path.exists():
        raise UserError(f"no spec {name!r} in specs/.{nearest(name, _names(root))} There are: {', '.join(_names(root))}")
    return path
