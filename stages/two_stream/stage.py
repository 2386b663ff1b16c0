"""Average the class probabilities of several evaluations, and measure the mean like one of them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from engine.errors import UserError
from engine.run.context import Context
from stages.classify.report import report
from stages.features.splits import train_and_test
from stages.two_stream.spec import Config
from stages.video.clips import Clips


def run(config: Config, context: Context) -> dict[str, Any]:
    """Top-1, top-5 and mean class accuracy of the mean, for each seed."""
    clips = Clips.open(context.input("clips"), context)
    _, test = train_and_test(clips, context)
    fused = mean_probabilities(context.inputs["members"])
    with np.errstate(divide="ignore"):  # a class that no member was trained on has probability 0
        return report(clips, test, {seed: np.log(mean) for seed, mean in fused.items()}, context)


def mean_probabilities(folders: Sequence[Path]) -> dict[int, np.ndarray]:
    """Seed -> float64 [test videos, classes], the mean over ``folders``. Raises UserError when they do not fit each other."""
    from safetensors.numpy import load_file

    loaded = [load_file(folder / "probabilities.safetensors") for folder in folders]
    for folder, table in zip(folders, loaded):
        if {k: v.shape for k, v in table.items()} != {k: v.shape for k, v in loaded[0].items()}:
            raise UserError(f"{folder} and {folders[0]} were measured with other seeds, videos or classes: run both again")
    return {int(seed[1:]): np.mean([t[seed].astype(np.float64) for t in loaded], axis=0) for seed in sorted(loaded[0])}
