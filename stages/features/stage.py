"""Features of all videos from a trained, frozen encoder: the mean over clips spread over each video."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from engine.run.context import Context
from stages.features.frozen import load_frozen
from stages.features.spec import Config
from stages.features.splits import SPLITS
from stages.features.stored import require_finite, write_features
from stages.features.windows import VideoMeans, WindowBatches, steps_of
from stages.video.clips import Clips
from stages.video.loader import Loader, default_workers
from stages.video.views import open_view


def run(config: Config, context: Context) -> dict[str, Any]:
    """Writes ``features.safetensors``; the row of a video is its row in the clips, zeros where it is in no split."""
    clips = Clips.open(context.input("clips"), context)
    rows = np.concatenate([clips.split(name) for name in SPLITS])
    rows.sort()
    frozen = load_frozen(context.inputs["models"], config.look, context)
    batches = WindowBatches.of(open_view(frozen.view, clips, context), rows, config.look)
    means = VideoMeans(len(frozen.encoders), len(rows), frozen.width)

    steps = steps_of(len(batches))
    with Loader(
        batches, len(batches), context.workers(default_workers(context.device)), context.device
    ) as loader:
        for step in context.steps(len(steps), {"means": means}, "features"):
            for batch in steps[step]:
                pixels, videos = loader[batch]
                features = frozen(pixels)
                if config.normalise == "l2":
                    features = torch.nn.functional.normalize(features, dim=-1)
                means.add(features, videos)

    found = means.means()
    table = {seed: np.zeros((len(clips.paths), frozen.width), np.float32) for seed in config.seeds}
    for seed, values, folder in zip(config.seeds, found, frozen.folders):
        require_finite(values, folder.name)
        table[seed][rows] = values
    write_features(context.out, table)
    return {"videos": len(rows), "windows": len(batches.videos), "width": frozen.width}
