"""The plan as ``dvc.yaml`` and stage files."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any, Sequence

from engine.compile.plan import Stage, graph_digest
from engine.spec.study import BaseStudy

RESOURCES = "plan/resources.json"
"""What stages would like to run on, by study. No stage depends on it: it changes no result."""

HEADER = "# Written by `vidspec compile` from specs/ and params.yaml. Edit those, not this file.\n"


def dvc_content(stages: Sequence[Stage]) -> dict[str, Any]:
    """What ``dvc.yaml`` says."""
    entries: dict[str, Any] = {
        "compile": {
            "cmd": f"python -m engine.compile --graph {graph_digest(stages)}",
            "deps": ["engine", "specs", "stages"],
            "params": [{"params.yaml": None}],
            "outs": [*(s.file for s in stages), RESOURCES],
        }
    }
    for stage in stages:
        out = stage.output
        entry: dict[str, Any] = {"cmd": f"python -m engine.run {stage.name}"}
        if stage.always_changed:
            entry["always_changed"] = True
        entry["deps"] = [stage.file, *(s.path for s in stage.sources())]
        entry["outs"] = [out.path]
        entry["metrics"] = [{out.metrics.path: {"cache": False}}]
        entries[stage.name] = entry
    return {"stages": entries}


def dvc_text(stages: Sequence[Stage]) -> str:
    """``dvc.yaml`` as text."""
    from io import StringIO

    from ruamel.yaml import YAML

    yaml = YAML(typ="safe", pure=True)
    yaml.default_flow_style = False
    yaml.sort_base_mapping_type_on_output = False
    yaml.width = 200
    buffer = StringIO()
    yaml.dump(dvc_content(stages), buffer)
    return HEADER + buffer.getvalue()


def write_stage_files(root: Path, stages: Sequence[Stage], studies: Sequence[BaseStudy]) -> None:
    """Write ``plan/``, and remove stage files of stages that are no more."""
    folder = root / "plan"
    folder.mkdir(exist_ok=True)
    wanted = {stage.file: stage.text() for stage in stages}
    resources = {s.name: s.resources.model_dump(mode="json", exclude_none=True) for s in studies}
    wanted[RESOURCES] = json.dumps(resources, indent=1, sort_keys=True) + "\n"
    for path in folder.glob("*.json"):
        if path.relative_to(root).as_posix() not in wanted:
            path.unlink()
    for name, text in wanted.items():
        write_if_changed(root / name, text)


def write_if_changed(path: Path, text: str) -> bool:
    """Replace a file in one move if its text differs; the old one may be a read-only link into DVC's cache."""
    if path.exists() and path.read_text(encoding="utf-8") == text:
        return False
    partial = path.with_name(f".{path.name}.partial")
    partial.write_text(text, encoding="utf-8")
    os.replace(partial, path)
    return True
