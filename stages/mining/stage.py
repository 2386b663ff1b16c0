"""The mining stage: gather what the half-cycles of one model measured of their mining."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from engine.errors import UserError
from engine.run.context import Context
from stages.mining.spec import Config


def run(config: Config, context: Context) -> dict[str, Any]:
    """Precision and overlap of the last epoch, by seed; chance is that of drawing from the queue."""
    measured = {seed: _read(path) for seed, path in zip(config.seeds, context.inputs["metrics"])}
    return {
        "seeds": {
            str(seed): {name: values[f"mining_{name}"] for name in ("precision", "overlap")}
            for seed, values in measured.items()
        },
        "chance": {"precision": sum(values["mining_chance"] for values in measured.values()) / len(measured)},
    }


def _read(path: Path) -> dict[str, float]:
    values = json.loads(path.read_text(encoding="utf-8"))
    if "mining_overlap" not in values:
        raise UserError(
            f"{path}: nothing was mined twice in the last epoch. The half-cycle needs topk above 0, and more than one epoch "
            "after its queue is full"
        )
    return values
