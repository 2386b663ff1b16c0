"""Linear probe: a linear classifier on a frozen encoder, settings chosen inside train, test videos looked at once."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.run.context import Context
from stages.features.splits import Part, train_and_test
from stages.features.stored import read_features
from stages.linear_probe.holdout import hold_out
from stages.linear_probe.regression import probe_features
from stages.linear_probe.result import report
from stages.linear_probe.spec import Config, HeldOut
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
        from stages.linear_probe.augmented import (
            probe_clips,
        )  # needs torch, which the other mode does not load

        probed = probe_clips(clips, train, test, held, config.augmented, context)
    return report(clips, test, probed, context)


def held_out(clips: Clips, train: Part, config: HeldOut, context: Context) -> NDArray[np.bool_]:
    """Which training videos settings are chosen on; the same for every model and seed, so that these compare fairly."""
    groups = np.asarray(clips.groups)[train.rows]
    held = hold_out(train.targets, groups, config.share, np.random.default_rng(config.draw))
    if not held.any():
        held = hold_out(
            train.targets, np.full_like(groups, -1), config.share, np.random.default_rng(config.draw)
        )
        if held.any():
            context.warn(
                "no source of videos can be held out without losing a class: single videos are held out instead, "
                "which flatters the held-out accuracy"
            )
    return held
