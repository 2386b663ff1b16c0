"""Videos that an evaluation leaves out: wrongly annotated ones, or those a published number was measured without."""

from __future__ import annotations

import json
from pathlib import Path

from engine.errors import UserError
from stages.annotations.raw import Read
from stages.listing.files import lines, read_text
from stages.tal.results_json import id_of_name
from stages.video.listing import Trouble


def without_blocked(read: Read, root: Path, file: str | None, names: tuple[str, ...]) -> None:
    """Leave out videos that ``file`` or ``names`` name, as the annotations do, with or without ``v_``; says how many."""
    blocked = {id_of_name(name) for name in (*names, *(_names(root / file) if file else ()))}
    gone = [video for video in read.videos if id_of_name(video.name) in blocked]
    if blocked:
        read.videos = [video for video in read.videos if id_of_name(video.name) not in blocked]
        read.troubles += [Trouble(video.name, "blocked: left out as asked") for video in gone]
        read.notes.append(f"{len(gone)} of {len(blocked)} blocked names are annotated videos, which are left out")


def _names(path: Path) -> list[str]:
    if path.suffix.lower() != ".json":
        return [line for _, line in lines(path)]
    try:
        content = json.loads(read_text(path))
    except ValueError as error:
        raise UserError(f"{path} is not JSON: {error}") from None
    if not isinstance(content, (list, dict)) or not all(isinstance(name, str) for name in content):
        raise UserError(f"{path} must be a list of names of videos, or an object by name")
    return list(content)
