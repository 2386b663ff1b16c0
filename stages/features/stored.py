"""Features on disk: one tensor ``s<seed>`` [videos, D] a seed, rows in the order of the clips."""

from __future__ import annotations

from pathlib import Path
from typing import Mapping

import numpy as np
from numpy.typing import NDArray

from engine.errors import UserError

FILE = "features.safetensors"


def write_features(folder: Path, features: Mapping[int, NDArray[np.float32]]) -> None:
    """Write seed -> [videos, D]."""
    from safetensors.numpy import save_file

    save_file(
        {f"s{seed}": np.ascontiguousarray(values, dtype=np.float32) for seed, values in features.items()},
        folder / FILE,
    )


def read_features(folder: Path, videos: int) -> dict[int, NDArray[np.float32]]:
    """Seed -> [videos, D], seeds in rising order. Raises UserError when they are not those of ``videos`` videos."""
    from safetensors import SafetensorError
    from safetensors.numpy import load_file

    path = folder / FILE
    try:
        stored = load_file(path)
    except FileNotFoundError:
        raise UserError(f"{path}: no such file; run the features stage that makes it") from None
    except (SafetensorError, OSError) as error:
        raise UserError(f"{path} cannot be read: {error}") from None
    features = {int(name[1:]): values for name, values in stored.items()}
    for seed, values in features.items():
        if len(values) != videos:
            raise UserError(
                f"{path} has features of {len(values)} videos, but there are {videos}: run its stage again"
            )
        require_finite(values, f"{folder.name}, seed {seed}")
    return dict(sorted(features.items()))


def require_finite(features: NDArray, model: str) -> None:
    """Raises UserError when any of the features [videos, D] of ``model`` is NaN or infinite."""
    bad = int((~np.isfinite(features).all(axis=1)).sum())
    if bad:
        raise UserError(
            f"{model}: the features of {bad} of {len(features)} videos are NaN or infinite. "
            "The training most likely diverged: look at its loss curve, and lower the learning rate, add warm-up, or set precision: fp32"
        )
