"""``compile`` as DVC's first stage and as a command."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Sequence

from engine.compile.dvcfile import dvc_text, write_if_changed, write_stage_files
from engine.compile.plan import Stage, expand, graph_digest
from engine.errors import UserError
from engine.spec.load import load_selected
from engine.spec.study import BaseStudy

MANY_STAGES = 80


def compile_all(root: Path) -> tuple[list[BaseStudy], list[Stage]]:
    """Selected studies and their stages. Raises SpecError."""
    studies = load_selected(root)
    return studies, expand(studies)


def write(root: Path) -> tuple[list[Stage], bool]:
    """Write ``dvc.yaml`` and the stage files; returns the stages and whether ``dvc.yaml`` changed."""
    studies, stages = compile_all(root)
    write_stage_files(root, stages, studies)
    return stages, write_if_changed(root / "dvc.yaml", dvc_text(stages))


def as_stage(root: Path, graph: str) -> None:
    """Write the stage files if the graph still has the shape that ``dvc.yaml`` was written for.

    Raises UserError before anything is written if it has not: DVC reads ``dvc.yaml`` before it runs this.
    """
    studies, stages = compile_all(root)
    if graph_digest(stages) != graph:
        raise UserError(
            "the edit changes which stages there are, and dvc.yaml was compiled for others: "
            "run `vidspec repro` (with the same -S, --temp or --queue), or `vidspec compile` and then `dvc repro`"
        )
    write_stage_files(root, stages, studies)


def main(arguments: Sequence[str] | None = None) -> int:
    """Entry of ``python -m engine.compile --graph DIGEST``."""
    parser = argparse.ArgumentParser(prog="python -m engine.compile", description="First stage of dvc.yaml.")
    parser.add_argument("--graph", required=True, help="digest of the graph that dvc.yaml was written for")
    try:
        as_stage(Path.cwd(), parser.parse_args(arguments).graph)
    except UserError as error:
        print(error, file=sys.stderr)
        return 1
    return 0
