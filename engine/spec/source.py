"""YAML with the place of every value: so that an error can point at file, line and column.

All YAML is read and written by ruamel (YAML 1.2, as DVC's own), so ``1e-3`` is a number everywhere.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from engine.errors import UserError

Path_ = tuple[str | int, ...]
"""Where a value sits in a document: ``("models", "infonce", "lr")``."""

TAGS = ("kind", "method", "protocol")
"""Keys that say which alternative of a union a mapping is."""


@dataclass(frozen=True, order=True)
class Place:
    """A position in a file; line and column count from 1."""

    file: Path
    line: int
    column: int

    def __str__(self) -> str:
        here = Path.cwd()
        file = self.file.relative_to(here) if self.file.is_relative_to(here) else self.file
        return f"{file}:{self.line}:{self.column}"


@dataclass
class Tree:
    """Plain data (dicts, lists, scalars), with the places of keys and values by path."""

    data: Any
    keys: dict[Path_, Place] = field(default_factory=dict)
    values: dict[Path_, Place] = field(default_factory=dict)

    def place(self, path: Path_, *, key: bool = False) -> Place | None:
        """Place of the value at ``path`` (or of its key), else of the nearest thing around it that has one."""
        if key and path in self.keys:
            return self.keys[path]
        for length in range(len(path), -1, -1):
            if place := self.values.get(path[:length]):
                return place
        return None

    def get(self, path: Path_) -> Any:
        """The value at ``path``, or None."""
        value = self.data
        for step in path:
            try:
                value = value[step]
            except (KeyError, IndexError, TypeError):
                return None
        return value

    def sub(self, *path: str | int) -> Tree:
        """The part below ``path``, as a tree of its own."""
        n = len(path)

        def below(places: dict[Path_, Place]) -> dict[Path_, Place]:
            return {p[n:]: place for p, place in places.items() if p[:n] == path}

        return Tree(self.get(path), below(self.keys), below(self.values))


def overlay(base: Tree, over: Tree, at: Path_ = ()) -> Tree:
    """``base`` with the values of ``over`` on top: mappings merge, everything else is replaced.

    A mapping that names another ``kind``, ``method`` or ``protocol`` replaces the old one whole, as its keys mean
    something else. Places come from the file that the value came from.
    """
    old, new = base.get(at), over.get(at)
    same = isinstance(old, dict) and isinstance(new, dict)
    if same and all(new.get(tag, old.get(tag)) == old.get(tag) for tag in TAGS):
        for key in new:
            if key in old:
                overlay(base, over, (*at, key))
            else:
                old[key] = new[key]
                _move_places(base, over, (*at, key))
        return base
    if at:
        parent = base.get(at[:-1])
        parent[at[-1]] = new
    else:
        base.data = new
    _move_places(base, over, at)
    return base


def _move_places(base: Tree, over: Tree, at: Path_) -> None:
    n = len(at)
    for mine, theirs in ((base.keys, over.keys), (base.values, over.values)):
        for path in [p for p in mine if p[:n] == at]:
            del mine[path]
        mine.update({p: place for p, place in theirs.items() if p[:n] == at})


def read_yaml(path: Path) -> Tree:
    """Read a YAML file; an empty one is an empty mapping. Raises UserError with the place for bad syntax."""
    from ruamel.yaml import YAML
    from ruamel.yaml.error import MarkedYAMLError, YAMLError

    yaml = YAML(typ="rt")
    try:
        node = yaml.load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UserError(f"{path}: no such file") from None
    except UnicodeDecodeError as error:
        raise UserError(f"{path}: not a text file in UTF-8 ({error})") from None
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = f"{path}:{mark.line + 1}:{mark.column + 1}" if mark else str(path)
        problem = (error.problem or "cannot be read").split("\n")[0]
        raise UserError(f"{where}: not valid YAML: {problem}") from None
    except YAMLError as error:
        raise UserError(f"{path}: not valid YAML: {error}") from None
    tree = Tree({})
    if node is not None:
        tree.data = _plain(node, (), tree, path)
    tree.values[()] = Place(path, 1, 1)
    return tree


def _plain(node: Any, at: Path_, tree: Tree, file: Path) -> Any:
    from ruamel.yaml.comments import CommentedMap, CommentedSeq
    from ruamel.yaml.scalarbool import ScalarBoolean

    if isinstance(node, CommentedMap):
        result = {}
        for key, value in node.items():
            name = key if isinstance(key, str) else str(key)
            below = (*at, name)
            if key in (node.lc.data or {}):
                tree.keys[below] = Place(file, *(n + 1 for n in node.lc.key(key)))
                tree.values[below] = Place(file, *(n + 1 for n in node.lc.value(key)))
            result[name] = _plain(value, below, tree, file)
        return result
    if isinstance(node, CommentedSeq):
        items = []
        for i, value in enumerate(node):
            below = (*at, i)
            tree.values[below] = Place(file, *(n + 1 for n in node.lc.item(i)))
            items.append(_plain(value, below, tree, file))
        return items
    if isinstance(node, (bool, ScalarBoolean)):
        return bool(node)
    for kind in (int, float, str):
        if isinstance(node, kind):
            return kind(node)
    return node if node is None else str(node)


def edit_yaml(path: Path, changes: dict[Path_, Any]) -> None:
    """Set values in a YAML file, keeping its comments and order; mappings on the way are made."""
    import os

    from ruamel.yaml import YAML

    yaml = YAML(typ="rt")
    yaml.preserve_quotes = True
    document = yaml.load(path.read_text(encoding="utf-8")) if path.exists() else {}
    document = {} if document is None else document
    for keys, value in changes.items():
        parent = document
        for key in keys[:-1]:
            parent = parent.setdefault(key, {})
        parent[keys[-1]] = value
    partial = path.with_name(path.name + ".partial")
    with partial.open("w", encoding="utf-8") as file:
        yaml.dump(document, file)
    os.replace(partial, path)
