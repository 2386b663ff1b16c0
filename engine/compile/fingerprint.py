"""What the code of a stage means, as hashes: normalised syntax trees over the modules it reaches by import.

Comments, docstrings and formatting have no meaning; ``spec.py`` files
are left out, since what they say stands in the stage file already. The same code gives the same hash on Python 3.11 to 3.13.
"""

from __future__ import annotations

import ast
import hashlib
from functools import cache, lru_cache
from pathlib import Path
from typing import Any

from engine.spec.discover import BUILT_IN, stage_kinds, stages_folder

RUNTIME_VERSION = 1
"""Raised by hand when a change of the engine changes results (seeding, checkpoints): the engine's code is not hashed."""

_NO_MEANING = {"lineno", "col_offset", "end_lineno", "end_col_offset", "type_comment", "kind", "ctx", "type_ignores"}

Parts = dict[str, dict[str, str]]
"""Module -> name of a top-level definition (or ``<module>`` for the rest) -> hash."""


@cache
def code_of(kind: str) -> dict[str, Any]:
    """Fingerprint of a stage kind: ``runtime`` version, one ``digest``, and the ``parts`` it is made of."""
    package = stage_kinds()[kind]
    root = stages_folder().parent
    prefix = f"{package}." if kind in BUILT_IN else "stages."
    parts = closure(root, f"{package}.stage", prefix)
    text = "\n".join(f"{m}:{name}={h}" for m, definitions in sorted(parts.items()) for name, h in sorted(definitions.items()))
    return {"runtime": RUNTIME_VERSION, "digest": _hash(text), "parts": parts}


def closure(root: Path, module: str, prefix: str) -> Parts:
    """Definitions of every module under ``prefix`` that ``module`` reaches by import, at the top or inside functions."""
    parts: Parts = {}
    waiting = [module]
    while waiting:
        name = waiting.pop()
        file = _file(root, name)
        if name in parts or file is None:
            continue
        stat = file.stat()
        definitions, imports = _module(str(file), stat.st_mtime_ns, stat.st_size, name)
        if file.name != "spec.py" and definitions:
            parts[name] = dict(definitions)
        for imported in imports:
            if imported.startswith(prefix) and not imported.endswith(".spec") and ".spec." not in imported:
                waiting += [imported, imported.rpartition(".")[0]]
    return parts


def _file(root: Path, module: str) -> Path | None:
    path = root.joinpath(*module.split("."))
    for candidate in (path.with_suffix(".py"), path / "__init__.py"):
        if candidate.is_file():
            return candidate
    return None


@lru_cache(maxsize=4096)
def _module(file: str, mtime: int, size: int, name: str) -> tuple[tuple[tuple[str, str], ...], tuple[str, ...]]:
    tree = ast.parse(Path(file).read_text(encoding="utf-8"), filename=file)
    is_package = file.endswith("__init__.py")
    return tuple(sorted(definitions(tree).items())), tuple(_imports(tree, name, is_package))


def _imports(tree: ast.Module, module: str, is_package: bool) -> list[str]:
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                above = module.split(".")
                above = above[: len(above) - node.level + is_package]
                base = ".".join([*above, base] if base else above)
            found += [f"{base}.{alias.name}" for alias in node.names] + [base]
    return found


def definitions(tree: ast.Module) -> dict[str, str]:
    """Hash of each top-level function and class, and of all other statements together (``<module>``)."""
    found: dict[str, str] = {}
    rest: list[str] = []
    for statement in _without_docstring(tree.body):
        text = serialise(statement)
        name = getattr(statement, "name", None)
        if name is None or name in found:
            rest.append(text)
        else:
            found[name] = _hash(text)
    if rest:
        found["<module>"] = _hash("\n".join(rest))
    return found


def serialise(node: Any) -> str:
    """A text of a syntax tree that is the same on all supported versions of Python."""
    if isinstance(node, ast.AST):
        fields = []
        for name in sorted(node._fields):
            value = getattr(node, name, None)
            if name in _NO_MEANING or value is None and not isinstance(node, ast.Constant) or value == []:
                continue
            if name == "body" and isinstance(value, list):
                value = _without_docstring(value)
            if name == "values" and isinstance(node, ast.JoinedStr):
                value = _joined(value)
            fields.append(f"{name}={serialise(value)}")
        return f"{type(node).__name__}({','.join(fields)})"
    if isinstance(node, list):
        return f"[{','.join(map(serialise, node))}]"
    return f"{type(node).__name__}:{node!r}"


def _joined(values: list[ast.expr]) -> list[ast.expr]:
    """Neighbouring texts of an f-string as one: versions of Python differ in where they cut them."""
    merged: list[ast.expr] = []
    for value in values:
        last = merged[-1] if merged else None
        if isinstance(value, ast.Constant) and isinstance(last, ast.Constant):
            merged[-1] = ast.Constant(last.value + value.value)
        else:
            merged.append(value)
    return merged


def _without_docstring(body: list[ast.stmt]) -> list[ast.stmt]:
    """A body without string statements, which do nothing: docstrings, and comments written as strings."""
    return [s for s in body if not (isinstance(s, ast.Expr) and isinstance(s.value, ast.Constant) and isinstance(s.value.value, str))]


def _hash(text: str) -> str:
    return hashlib.blake2b(text.encode(), digest_size=10).hexdigest()
