"""Turning Pydantic's errors into sentences with a place, what was given, what is allowed, and the nearest valid name."""

from __future__ import annotations

import difflib
import types
from dataclasses import dataclass
from typing import Annotated, Any, Iterable, Literal, Union, get_args, get_origin

from pydantic import BaseModel, ValidationError

from engine.errors import UserError
from engine.spec.source import TAGS, Path_, Place, Tree


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong, and where."""

    place: Place | None
    message: str

    def __str__(self) -> str:
        return f"{self.place}: {self.message}" if self.place else self.message


class SpecError(UserError):
    """Everything that is wrong with a spec, sorted by place."""

    def __init__(self, findings: Iterable[Finding]) -> None:
        unique = dict.fromkeys(findings)
        self.findings = sorted(unique, key=_position)
        super().__init__("\n".join(map(str, self.findings)))


def _position(finding: Finding) -> tuple[str, int, int, str]:
    place = finding.place
    return (str(place.file), place.line, place.column, finding.message) if place else ("", 0, 0, finding.message)


def nearest(word: Any, allowed: Iterable[str]) -> str:
    """`` Did you mean 'x'?`` for the closest allowed word, or nothing."""
    match = difflib.get_close_matches(str(word), list(allowed), n=1, cutoff=0.6)
    return f" Did you mean {match[0]!r}?" if match else ""


def choices(allowed: Iterable[Any], limit: int = 25) -> str:
    """A readable list of what is allowed."""
    words = [str(a) for a in allowed]
    return ", ".join(words[:limit]) + (f" … ({len(words)} in all)" if len(words) > limit else "")


def findings(error: ValidationError, tree: Tree, model: type[BaseModel]) -> list[Finding]:
    """All of a validation error's problems, with their places in ``tree``."""
    return [_finding(e, tree, model) for e in error.errors(include_url=False)]


def _finding(error: dict[str, Any], tree: Tree, model: type[BaseModel]) -> Finding:
    path = data_path(error["loc"], tree)
    kind, given, ctx = error["type"], error["input"], error.get("ctx", {})
    where = ".".join(map(str, path)) or "the file"
    place = tree.place(path, key=kind == "extra_forbidden")
    if kind == "extra_forbidden":
        allowed = _fields(type_at(model, error["loc"][:-1]))
        owner = ".".join(map(str, path[:-1])) or "the top level"
        message = f"unknown key {path[-1]!r} in {owner}.{nearest(path[-1], allowed)} Allowed: {choices(allowed)}"
    elif kind == "missing":
        message = f"missing: {where} is required"
    elif kind == "union_tag_invalid":
        tag = ctx["discriminator"].strip("'")
        allowed = [t.strip(" '") for t in ctx["expected_tags"].split(",")]
        place = tree.place((*path, tag))
        message = f"{where}: unknown {tag} {ctx['tag']!r}.{nearest(ctx['tag'], allowed)} Allowed: {choices(allowed)}"
    elif kind == "union_tag_not_found":
        tag = ctx["discriminator"].strip("'")
        message = f"{where}: needs a {tag!r} that says what it is"
    elif kind == "literal_error":
        allowed = _literals(type_at(model, error["loc"])) or [ctx["expected"]]
        message = f"{where}: {given!r} is not allowed.{nearest(given, map(str, allowed))} Allowed: {choices(allowed)}"
    elif kind == "value_error":
        message = f"{where}: {ctx['error']}"
    else:
        message = f"{where}: {_sentence(error['msg'])} (given: {_short(given)})"
    return Finding(place, message)


def _sentence(message: str) -> str:
    return message[:1].lower() + message[1:]


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."


def data_path(loc: tuple[str | int, ...], tree: Tree) -> Path_:
    """Pydantic's location without the tags of unions, which are no keys of the document."""
    path: Path_ = ()
    for i, step in enumerate(loc):
        here = tree.get(path)
        is_tag = isinstance(here, dict) and step not in here and any(here.get(tag) == step for tag in TAGS)
        last = i == len(loc) - 1
        if is_tag and not (last and step in path[-1:]):
            continue
        if step == "[key]":
            continue
        if isinstance(step, str) and step in ("function-after", "function-before", "constrained-str"):
            continue
        path = (*path, step)
    return path


def type_at(model: Any, loc: tuple[str | int, ...]) -> Any:
    """The type annotation at a location of a model, tags of unions included in the location."""
    here: Any = model
    for step in loc:
        here = _inner(here, step)
        if here is None:
            return None
    return here


def _strip(annotation: Any) -> Any:
    while get_origin(annotation) is Annotated:
        annotation = get_args(annotation)[0]
    if get_origin(annotation) in (Union, types.UnionType):
        members = [a for a in get_args(annotation) if a is not type(None)]
        if len(members) == 1:
            return _strip(members[0])
    return annotation


def _inner(annotation: Any, step: str | int) -> Any:
    annotation = _strip(annotation)
    origin = get_origin(annotation)
    if origin in (Union, types.UnionType):
        for member in map(_strip, get_args(annotation)):
            if isinstance(member, type) and issubclass(member, BaseModel) and step in _tags(member):
                return member
        return None
    if origin is dict:
        return get_args(annotation)[1]
    if origin in (tuple, list):
        return get_args(annotation)[0]
    if isinstance(annotation, type) and issubclass(annotation, BaseModel) and step in annotation.model_fields:
        field = annotation.model_fields[step]
        return Annotated[field.annotation, field] if field.metadata else field.annotation
    return None


def _tags(model: type[BaseModel]) -> list[Any]:
    return [v for tag in TAGS if tag in model.model_fields for v in get_args(model.model_fields[tag].annotation)]


def _fields(annotation: Any) -> list[str]:
    annotation = _strip(annotation)
    return list(annotation.model_fields) if isinstance(annotation, type) and issubclass(annotation, BaseModel) else []


def _literals(annotation: Any) -> list[Any]:
    annotation = _strip(annotation)
    return list(get_args(annotation)) if get_origin(annotation) is Literal else []
