"""The supervised stage: train an encoder and a linear layer to tell the classes of clips apart."""

from __future__ import annotations

from typing import Any

import numpy as np
from torch.nn import functional as F
from torch.nn.utils import clip_grad_norm_

from engine.errors import UserError
from engine.run.context import Context
from stages.classify.classifier import Classifier, save_classifier
from stages.finetune.monitor import PANELS, TrainingMonitor
from stages.nn.curves import curve_picture
from stages.nn.optim import learning_rate, optimizer, set_learning_rate
from stages.nn.pace import Pace
from stages.nn.precision import numbers
from stages.nn.spec import Card
from stages.supervised.batches import StretchBatches
from stages.supervised.spec import Config
from stages.supervised.start import starting_encoder
from stages.supervised.stretches import Stretches, segments, whole_videos
from stages.tal.annotations import Annotations
from stages.video.clips import Clips
from stages.video.loader import Epochs, Loader, default_workers
from stages.video.transforms import normalise
from stages.video.views import open_view


def run(config: Config, context: Context) -> dict[str, Any]:
    """Train on the ``train`` split; write encoder, linear layer and curves; return where the curves ended."""
    device, schedule = context.device, config.schedule
    clips = Clips.open(context.input("clips"), context)
    stretches = _stretches(config, clips, context)
    if len(stretches.classes) < 2:
        raise UserError(
            f"the videos have one class only, {stretches.classes[0]!r}: there is nothing to tell apart, and the encoder "
            "would learn nothing. Leave this model out, or train it on other data (`data`)"
        )
    epochs = Epochs(np.arange(len(stretches)), schedule.batch, context.seed_for("order"))
    reader = open_view(config.view, clips, context)
    batches = StretchBatches(reader, config.clip, stretches, epochs, context.seed_for("augment"))
    total = schedule.epochs * epochs.steps

    how = numbers(config.precision, device)
    encoder = starting_encoder(config.encoder, config.view.channels, context)
    network = Classifier(encoder, len(stretches.classes), config.dropout, context.seed_for("head"))
    network = how.place(network.train())
    optim = optimizer(schedule, network.parameters())
    monitor, pace = TrainingMonitor(context, total), Pace(context)

    state = {"network": network, "optimizer": optim, "monitor": monitor}
    with Loader(batches, total, context.workers(default_workers(device)), device) as loader:
        for step in context.steps(total, state):
            batch = loader[step]
            shown = normalise(batch.clips.to(device, non_blocking=True), config.view)
            labels = batch.labels.to(device, non_blocking=True)
            with how.autocast():
                logits = network(how.lay_out(shown))
            loss = F.cross_entropy(logits, labels)

            rate = learning_rate(schedule, step, epochs.steps)
            set_learning_rate(optim, rate)
            optim.zero_grad(set_to_none=True)
            loss.backward()
            if config.gradient_norm is not None:
                clip_grad_norm_(network.parameters(), config.gradient_norm)
            optim.step()
            monitor.after(step, loss, logits, labels, {"learning_rate": rate})
            if monitor.due(step):
                pace.note(step + 1, schedule.batch, loader.waited)

    card = Card(
        encoder=config.encoder, view_name=config.view_name, view=config.view, clip=config.clip, stage=context.name
    )
    save_classifier(context.out, network, card, stretches.classes)
    context.picture("curves", curve_picture(context.curves_state(), PANELS))
    return {config.on: len(stretches), "classes": len(stretches.classes), "steps": total, **monitor.metrics}


def _stretches(config: Config, clips: Clips, context: Context) -> Stretches:
    """What is trained on."""
    rows = clips.split("train")
    annotations = Annotations.open(context.input("annotations")) if "annotations" in context.inputs else None
    if config.on == "videos":
        found = whole_videos(clips, rows, annotations)
        if left := len(rows) - len(found):
            context.say(
                f"{left} of {len(rows)} training videos have no annotated segment, and so no class: they are left out"
            )
        return found
    assert annotations is not None, "the spec gives this stage annotations"
    found = segments(clips, rows, annotations)
    if len(found) < config.schedule.batch:
        raise UserError(
            f"the training videos have {len(found)} annotated segments, fewer than one batch of "
            f"{config.schedule.batch}: set schedule.batch to {len(found)} or less"
        )
    return found
