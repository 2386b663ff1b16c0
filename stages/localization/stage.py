"""The localization stage: train a head, and a classifier of whole videos, on frozen features of snippets."""

from __future__ import annotations

from typing import Any

import numpy as np

from engine.run.context import Context
from stages.localization.batches import HeadBatches
from stages.localization.detector import Detector, DetectorCard, save_detector
from stages.localization.monitor import PANELS, HeadMonitor
from stages.localization.selection import LowestLoss, held_out_loss
from stages.localization.spec import Config
from stages.localization.video_classifier import fit_video_classifier
from stages.localization.videos import training_videos
from stages.nn.curves import curve_picture
from stages.nn.optim import learning_rate, optimizer, set_learning_rate
from stages.nn.pace import Pace
from stages.nn.precision import numbers
from stages.snippets.index import SnippetIndex
from stages.tal.annotations import Annotations
from stages.tal.gtad import build_gtad
from stages.tal.loss import gtad_loss, targets
from stages.video.loader import Epochs, Loader, default_workers


def run(config: Config, context: Context) -> dict[str, Any]:
    """Train on the ``train`` split; write a detector and curves; return where the curves ended."""
    device, schedule = context.device, config.schedule
    annotations = Annotations.open(context.input("annotations"))
    index = SnippetIndex.open(context.input("snippets"))
    reader = index.reader(context.seed, context.store)
    videos = training_videos(index, annotations, config.held_out, context)
    choosing = config.select == "held_out" and videos.held.any()
    if config.select == "held_out" and not choosing:
        context.warn("too few training videos to hold some out: the last epoch is handed on")
    trained = np.flatnonzero(~videos.held) if choosing else np.arange(len(videos.rows))
    epochs = Epochs(trained, schedule.batch, context.seed_for("order"))
    batches = HeadBatches(reader, videos, epochs)
    total = schedule.epochs * epochs.steps

    head = build_gtad(index.origin.width, config.head, context.seed_for("head"))
    head = numbers("fp32", device).place(head.train())
    optim = optimizer(schedule, head.parameters())
    monitor, pace, best = HeadMonitor(context, total), Pace(context), LowestLoss(head)

    state = {"head": head, "optimizer": optim, "monitor": monitor, "best": best}
    with Loader(batches, total, context.workers(default_workers(device)), device) as loader:
        for step in context.steps(total, state):
            shown = loader[step].to(device)
            wanted = targets(
                shown.start, shown.end, shown.iou, config.head.loss, context.torch_rng("bands", step)
            )
            losses = gtad_loss(head(shown.features), wanted, config.head.loss)

            rate = learning_rate(schedule, step, epochs.steps)
            set_learning_rate(optim, rate)
            optim.zero_grad(set_to_none=True)
            losses.total.backward()
            optim.step()
            monitor.after(step, losses, rate)
            if monitor.due(step):
                pace.note(step + 1, schedule.batch, loader.waited)

            epoch, rest = divmod(step + 1, epochs.steps)
            if choosing and rest == 0 and (epoch % config.held_out.every == 0 or epoch == schedule.epochs):
                loss = held_out_loss(head, reader, videos, schedule.batch, config.head.loss, context)
                context.log(step + 1, held_out_loss=loss)
                best.offer(epoch, loss)

    found = {
        "videos": len(trained),
        "steps": total,
        "epoch": best.epoch or schedule.epochs,
        **monitor.metrics,
    }
    if choosing:
        best.put_back()
        found |= {"held_out_videos": int(videos.held.sum()), "held_out_loss": best.loss}
    means = reader.means(videos.rows)
    classifier, chosen = fit_video_classifier(
        means, videos, len(annotations.classes), config.classifier, context
    )
    found |= {f"classifier_{name}": value for name, value in chosen.items()}
    card = DetectorCard(
        classes=annotations.classes, head=config.head, features=index.origin, stage=context.name
    )
    encoder = context.input("encoder") if "encoder" in context.inputs else None
    save_detector(context.out, Detector(card, head.eval(), classifier), encoder)
    context.picture("curves", curve_picture(context.curves_state(), PANELS))
    return found
