"""Digests of what a stage reads: they name its checkpoints and its lock."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Iterable, Mapping


def content_digest(path: Path) -> str:
    """Digest of a file, or of all files below a folder with their relative names."""
    total = hashlib.blake2b(digest_size=16)
    files = sorted(p for p in path.rglob("*") if p.is_file()) if path.is_dir() else [path]
    for file in files:
        name = file.relative_to(path).as_posix() if file != path else ""
        with file.open("rb") as stream:
            total.update(f"{name}\0{hashlib.file_digest(stream, 'sha1').hexdigest()}\0".encode())
    return total.hexdigest()


def execution_key(stage_text: str, inputs: Mapping[str, str]) -> str:
    """Names one unit of work: the same stage file on the same inputs has the same key, in any checkout."""
    lines: Iterable[str] = (stage_text, *(f"{path}={digest}" for path, digest in sorted(inputs.items())))
    return hashlib.blake2b("\n".join(lines).encode(), digest_size=16).hexdigest()
