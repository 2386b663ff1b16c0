"""Code fingerprints: blind to comments and formatting, sharp for meaning, the same on every supported Python."""

from __future__ import annotations

import ast
import shutil
import subprocess
from pathlib import Path

import pytest

from engine.compile.fingerprint import closure, definitions

BASE = '''
"""Module."""
import math
TAU = 0.07

def loss(x, *, scale: float = 1.0):
    """Doc."""
    # why
    y = f"{x:.2f} of {scale}" if x else None
    return [math.exp(v / TAU) for v in x], {**y}, (lambda a, /, b: a @ b)

class Queue:
    """Doc."""
    def __init__(self): self.items: list[int] = []
    async def go(self):
        async with self: await self
'''


def hashes(code: str) -> dict[str, str]:
    return definitions(ast.parse(code))


def test_comments_docstrings_and_formatting_do_not_count() -> None:
    other = BASE.replace("# why", "# another reason").replace('"""Doc."""', "'''Other'''").replace("x, *, scale", "x,\n   *,   scale")
    assert hashes(other) == hashes(BASE)
    assert hashes(BASE.replace('    """Doc."""\n', "")) == hashes(BASE)


@pytest.mark.parametrize(
    ("old", "new", "changed"),
    [
        ("0.07", "0.08", "<module>"),
        ("= 1.0", "= 2.0", "loss"),
        ("= 1.0", "= 1", "loss"),
        ("exp", "log", "loss"),
        (":.2f", ":.3f", "loss"),
        ("await self", "await self.x", "Queue"),
        ("a @ b", "a * b", "loss"),
        ("else None", "else 0", "loss"),
        ("import math", "import cmath as math", "<module>"),
    ],
)
def test_a_change_of_meaning_changes_its_definition_alone(old: str, new: str, changed: str) -> None:
    before, after = hashes(BASE), hashes(BASE.replace(old, new))
    assert {n for n in before if before[n] != after[n]} == {changed}


GOLDEN = {
    "<module>": "92cb95ef1c5d97a2e62c",
    "Queue": "37360e5640e6a71d87c4",
    "loss": "f79145baae6f933f34f0",
}


def test_golden_hashes() -> None:
    assert hashes(BASE) == GOLDEN


@pytest.mark.parametrize("version", ["3.11", "3.12", "3.13"])
def test_every_python_gives_the_golden_hashes(version: str, tmp_path: Path) -> None:
    """Each interpreter that is on the machine computes the hashes from the serialiser's own source."""
    python = find_python(version)
    if python is None:
        pytest.skip(f"no Python {version} here")
    source = Path(definitions.__code__.co_filename).read_text(encoding="utf-8")
    tree = ast.parse(source)
    wanted = {"definitions", "serialise", "_joined", "_without_docstring", "_hash"}
    parts = [ast.get_source_segment(source, n) for n in tree.body if getattr(n, "name", "") in wanted]
    constants = [ast.get_source_segment(source, n) for n in tree.body if isinstance(n, ast.Assign) and "_NO_MEANING" in ast.unparse(n)]
    script = tmp_path / "hashes.py"
    script.write_text(
        "from __future__ import annotations\nimport ast, hashlib\nfrom typing import Any\n"
        + "\n\n".join([*constants, *parts])
        + f"\n\nprint(sorted(definitions(ast.parse({BASE!r})).items()))\n"
    )
    out = subprocess.run([python, str(script)], capture_output=True, text=True, check=True).stdout.strip()
    assert out == str(sorted(GOLDEN.items()))


def find_python(version: str) -> str | None:
    """A working interpreter of a version: on PATH, or beside the ones that pyenv keeps."""
    places = [shutil.which(f"python{version}"), *map(str, Path.home().glob(f".pyenv/versions/{version}.*/bin/python"))]
    for place in filter(None, places):
        done = subprocess.run([place, "-c", "import sys; print(sys.version_info[:2])"], capture_output=True, text=True)
        if done.stdout.strip() == str(tuple(map(int, version.split(".")))):
            return place
    return None


def test_closure_follows_imports_anywhere_and_leaves_out_specs(tmp_path: Path) -> None:
    def write(path: str, text: str) -> None:
        file = tmp_path / path
        file.parent.mkdir(parents=True, exist_ok=True)
        for folder in (file.parent, *file.parent.parents):
            if folder == tmp_path:
                break
            (folder / "__init__.py").touch()
        file.write_text(text)

    write("stages/a/stage.py", "from stages.b import loss\nfrom .near import x\nimport stages.a.spec\ndef run():\n    from stages.c.deep import f\n")
    write("stages/a/near.py", "x = 1\n")
    write("stages/a/spec.py", "z = 1\n")
    write("stages/b/loss.py", "from stages.b.maths import y\nv = y\n")
    write("stages/b/maths.py", "y = 1\n")
    write("stages/c/deep.py", "def f(): pass\n")
    write("stages/d/unused.py", "q = 1\n")
    parts = closure(tmp_path, "stages.a.stage", "stages.")
    assert sorted(parts) == ["stages.a.near", "stages.a.stage", "stages.b.loss", "stages.b.maths", "stages.c.deep"]
    assert sorted(parts["stages.a.stage"]) == ["<module>", "run"]
