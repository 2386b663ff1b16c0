"""Files with scores of classes for whole videos, and how the next stage finds them."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.errors import UserError
from stages.tal.results_json import id_of_name

FILE = "scores.safetensors"
SHOWN = 5


def read_score_file(path: Path, classes: Sequence[str]) -> dict[str, NDArray[np.float64]]:
    """Video id (see ``id_of_name``) -> scores [classes], in the order of ``classes``.

    Classes of the file that are not asked for are left out. Raises UserError when the file is not of this form,
    lacks a class, or has negative scores.
    """
    content = _load(path)
    names = content["class"]
    if lacking := sorted(set(classes) - set(names)):
        raise UserError(
            f"{path} has no scores of {len(lacking)} of {len(classes)} classes: {', '.join(lacking[:SHOWN])}"
            f"{' ...' if len(lacking) > SHOWN else ''}. It has: {', '.join(names[:SHOWN])} ..."
        )
    order = [names.index(name) for name in classes]
    found: dict[str, NDArray[np.float64]] = {}
    for name, values in content["results"].items():
        if not _is_row(values, len(names)):
            raise UserError(
                f"{path}: results[{name!r}] must be {len(names)} finite numbers, one for each class"
            )
        if min(values, default=0) < 0:
            raise UserError(
                f"{path}: results[{name!r}] has the score {min(values):g}, and scores must not be negative, since those "
                "of proposals are multiplied by them. If these are logits or log-probabilities, apply a softmax first"
            )
        found[id_of_name(name)] = np.array(values, np.float64)[order]
    return found


def write_scores(folder: Path, scores: Mapping[str, NDArray[np.float64]]) -> None:
    """Write video id -> scores [classes]."""
    from safetensors.numpy import save_file

    save_file({name: scores[name] for name in sorted(scores)}, folder / FILE)


def read_scores(folder: Path) -> dict[str, NDArray[np.float64]]:
    """Read what ``write_scores`` wrote."""
    from safetensors.numpy import load_file

    return load_file(folder / FILE)


def _load(path: Path) -> Mapping[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror}") from None
    except ValueError as error:
        raise UserError(f"{path} is not JSON: {error}") from None
    names = content.get("class") if isinstance(content, dict) else None
    right = isinstance(names, list) and all(isinstance(name, str) for name in names)
    if not right or not isinstance(content.get("results"), dict):
        raise UserError(
            f"{path} must have `class`, a list of names, and `results`, a list of scores for each video"
        )
    return content


def _is_row(values: Any, count: int) -> bool:
    return (
        isinstance(values, list)
        and len(values) == count
        and all(type(value) in (int, float) and math.isfinite(value) for value in values)
    )
