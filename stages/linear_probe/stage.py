"""Linear probe: a linear classifier on a frozen encoder, settings chosen inside train, test videos looked at once."""

from __future__ import annotations

from typing import Any

import numpy as np

from engine.run.context import Context
from stages.classify.holdout import held_out
from stages.classify.report import report
from stages.features.splits import train_and_test
from stages.features.stored import read_features
from stages.linear_probe.regression import probe_features
from stages.linear_probe.result import write_trials
from stages.linear_probe.spec import Config
from stages.video.clips import Clips


def run(config: Config, context: Context) -> dict[str, Any]:
    """Top-1, top-5 and mean class accuracy for each seed; writes predictions, probabilities and pictures."""
    clips = Clips.open(context.input("clips"), context)
    train, test = train_and_test(clips, context)
    if len(np.unique(train.targets)) == 1:
        context.warn(
            f"all training videos are of one class, {clips.classes[train.targets[0]]}: there is nothing to tell apart"
        )
    held = held_out(clips, train, config.held_out, context)
    if config.lbfgs is not None:
        features = read_features(context.input("features"), len(clips.paths))
        probed = probe_features(features, train, test, held, len(clips.classes), config.lbfgs, context)
    else:
        # Here, since it needs torch, which the other mode does not load.
        from stages.linear_probe.augmented import probe_clips

        probed = probe_clips(clips, train, test, held, config.augmented, context)
    write_trials(probed, context)
    return report(clips, test, {seed: one.scores for seed, one in probed.items()}, context)
