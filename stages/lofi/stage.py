"""The lofi stage: train an encoder and a localisation head together on whole videos, at low fidelity."""

from __future__ import annotations

from typing import Any

import torch
from torch.nn.utils import clip_grad_norm_

from engine.run.context import Context
from stages.finetune.groups import scale_rates
from stages.localization.monitor import HeadMonitor
from stages.lofi.cost import encoder_shares
from stages.lofi.fit import StepTimes, announce_memory, compare_memory, say_costs
from stages.lofi.network import EndToEnd
from stages.lofi.rates import parameter_groups, rate_factor
from stages.lofi.schedule import fidelity_at, reduced
from stages.lofi.spec import Config
from stages.lofi.videos import VideoParts, batch_targets, training_rows
from stages.nn.curves import curve_picture
from stages.nn.optim import optimizer
from stages.nn.pace import Pace
from stages.nn.precision import numbers
from stages.nn.spec import Card
from stages.nn.weights import save_encoder
from stages.supervised.start import starting_encoder
from stages.tal.annotations import Annotations
from stages.tal.gtad import build_gtad
from stages.tal.loss import HeadLosses, gtad_loss
from stages.video.clips import Clips
from stages.video.loader import Epochs, Loader, default_workers
from stages.video.transforms import normalise
from stages.video.views import open_view

PANELS = {
    "loss": ("loss",),
    "terms of the loss (unweighted)": ("boundaries", "classification", "regression"),
    "what is seen of a video": ("snippets", "side"),
    "learning rate": ("learning_rate", "encoder_learning_rate"),
}


def run(config: Config, context: Context) -> dict[str, Any]:
    """Train on the ``train`` split; write the encoder and curves; return where the curves ended.

    The head is only a teacher: evaluations train their own on features of the encoder.
    """
    device, schedule = context.device, config.schedule
    how = numbers(config.precision, device)
    predicted = announce_memory(config, how.bf16, context)
    clips = Clips.open(context.input("clips"), context)
    annotations = Annotations.open(context.input("annotations"))
    epochs = Epochs(training_rows(clips, annotations), schedule.batch, context.seed_for("order"))
    at_fidelity = {f: reduced(config.snippets, config.configurations.of(f)) for f in config.fidelities()}
    reader, seed = open_view(config.view, clips, context), context.seed_for("augment")
    batches = VideoParts(reader, epochs, config.cycle, at_fidelity, config.at_once, config.augment == "crop", seed)
    total = schedule.epochs * epochs.steps

    encoder = starting_encoder(config.encoder, config.view.channels, context)
    head = build_gtad(encoder.features, config.head, context.seed_for("head"))
    network = how.place(EndToEnd(encoder, head, config.chunk, config.frozen_norm).train())
    optim = optimizer(schedule, parameter_groups(network, schedule.lr, config.encoder_lr or schedule.lr))
    monitor, pace, times = HeadMonitor(context, total), Pace(context), StepTimes()

    state = {"network": network, "optimizer": optim, "monitor": monitor}
    with Loader(batches, total * batches.parts, context.workers(default_workers(device)), device) as loader:
        for step in context.steps(total, state):
            fidelity = fidelity_at(config.cycle, step, epochs.steps)
            seen = at_fidelity[fidelity]
            fractions = [annotations.fractions(clips.paths[row]) for row in epochs.at(step)[1]]
            wanted = batch_targets(fractions, seen.count, config.head.loss, context.torch_rng("bands", step), device)
            rates = scale_rates(optim, rate_factor(schedule, step, epochs.steps))
            optim.zero_grad(set_to_none=True)
            parts, first = [], 0
            for part in range(batches.parts):  # whose losses, and so gradients, add up to those of the batch
                pixels = loader[step * batches.parts + part]
                videos = len(pixels)
                shown = normalise(pixels.flatten(0, 1).to(device, non_blocking=True), config.view)
                with how.autocast():
                    output = network(how.lay_out(shown), videos)
                losses = gtad_loss(output, wanted.of_videos(first, first + videos), config.head.loss)
                losses.total.backward()
                parts.append(torch.stack([loss.detach() for loss in losses]))
                first += videos
            if config.gradient_norm is not None:
                clip_grad_norm_(network.parameters(), config.gradient_norm)
            optim.step()
            times.after(fidelity)
            monitor.after(step, HeadLosses(*torch.stack(parts).sum(0)), rates["learning_rate"])
            if monitor.due(step):
                context.log(step + 1, **rates, snippets=seen.count, side=seen.size)
                pace.note(step + 1, schedule.batch * seen.count, loader.waited)

    shares = encoder_shares(config)
    compare_memory(predicted, context)
    say_costs(predicted, shares, times, context)
    card = Card(
        encoder=config.encoder,
        view_name=config.view_name,
        view=config.view,
        clip=config.snippets.clip,
        stage=context.name,
    )
    save_encoder(context.out, network.encoder, card)
    context.picture("curves", curve_picture(context.curves_state(), PANELS))
    kept = {f"activations_{fidelity}": share for fidelity, share in shares.items()}
    return {"videos": len(epochs.rows), "steps": total, **monitor.metrics, **kept}
