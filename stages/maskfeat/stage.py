"""The maskfeat stage: train a transformer to predict what is hidden from it."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch.nn import functional as F
from torch.nn.utils import clip_grad_norm_

from engine.run.context import Context
from stages.maskfeat.batches import MaskedBatches
from stages.maskfeat.gallery import Gallery
from stages.maskfeat.monitor import PANELS, PartOfTime, PredictionMonitor
from stages.maskfeat.network import Predictor, handed_on, starting_encoder, teacher_of
from stages.maskfeat.pictures import mask_picture
from stages.maskfeat.spec import Config
from stages.maskfeat.targets import Targets, constant_loss
from stages.nn.curves import curve_picture
from stages.nn.layers import spare_vectors
from stages.nn.optim import learning_rate, optimizer, set_learning_rate
from stages.nn.pace import Pace
from stages.nn.precision import numbers
from stages.nn.spec import Card
from stages.nn.weights import load_head, save_encoder, save_head
from stages.video.clips import Clips
from stages.video.loader import Epochs, Loader, default_workers
from stages.video.transforms import normalise
from stages.video.views import open_view


def run(config: Config, context: Context) -> dict[str, Any]:
    """Train on the ``train`` split; write encoder, head, curves and pictures; return where the curves ended."""
    device, schedule, clip = context.device, config.schedule, config.clip
    clips = Clips.open(context.input("clips"), context)
    reader = open_view(config.view, clips, context)
    epochs = Epochs(clips.split("train"), schedule.batch, context.seed_for("order"))
    batches = MaskedBatches(
        reader, clip, epochs, config.mask, config.grid, config.area, context.seed_for("augment")
    )
    total = schedule.epochs * epochs.steps

    how = numbers(config.precision, device)
    teacher = teacher_of(context)
    targets = Targets(
        config.target, (clip.frames, clip.size, clip.size), config.grid, how.place(teacher) if teacher else None
    )
    network = Predictor(starting_encoder(config, context), targets.width, context.seed_for("head"))
    if "init" in context.inputs and load_head(context.input("init"), network.head()):
        context.say("goes on with the mask token and the prediction head of the model that it starts from")
    network = how.place(network).train()
    groups = [{"params": list(network.parameters())}]
    optim = optimizer(schedule, groups if schedule.decay_vectors else spare_vectors(groups))
    monitor, pace, target_time = PredictionMonitor(context, total), Pace(context), PartOfTime(device)
    gallery = Gallery(reader, epochs.rows, config, context)
    state = {"network": network, "optimizer": optim, "monitor": monitor, "gallery": gallery}

    context.picture("masks", mask_picture(config.mask, config.mask.grid(clip.frames, clip.size), context.rng("masks")))
    tokens, at_once = math.prod(config.grid), schedule.at_once(schedule.batch)
    limit = float("inf") if schedule.gradient_clip is None else schedule.gradient_clip
    with Loader(batches, total, context.workers(default_workers(device)), device) as loader:
        for step in context.steps(total, state):
            batch = loader[step].to(device)
            hidden, losses, seen = len(batch.hidden), [], []
            rate = learning_rate(schedule, step, epochs.steps)
            set_learning_rate(optim, rate)
            optim.zero_grad(set_to_none=True)
            for part in batch.split(at_once, tokens):  # whose losses, and so gradients, add up to those of the batch
                shown = how.lay_out(normalise(part.clips, config.view))
                with how.autocast():
                    with target_time.measured():
                        wanted = targets(shown).flatten(0, 3)[part.hidden]
                    predicted = network(shown, part.mask, part.hidden)
                loss = F.mse_loss(predicted.float(), wanted, reduction="sum") / (hidden * targets.width)
                loss.backward()
                losses.append(loss.detach())
                seen.append(wanted)
            norm = clip_grad_norm_(network.parameters(), limit)
            optim.step()
            share = hidden / (schedule.batch * tokens)
            monitor.after(step, torch.stack(losses).sum(), constant_loss(torch.cat(seen)), norm, share, rate)
            if monitor.due(step):
                pace.note(step + 1, schedule.batch, loader.waited)
                context.note(step + 1, target_time_share=target_time.share())

            epoch, rest = divmod(step + 1, epochs.steps)
            if rest == 0 and gallery.due(epoch):
                gallery.add(epoch, network, targets, how)

    context.say(f"targets took {target_time.share():.1%} of the time")
    gallery.draw_missing(targets, how)
    save_head(context.out, network.head())
    card = Card(
        encoder=config.encoder, view_name=config.view_name, view=config.view, clip=clip, stage=context.name
    )
    save_encoder(context.out, handed_on(network.encoder, config), card)
    context.picture("curves", curve_picture(context.curves_state(), PANELS))
    return {"videos": len(epochs.rows), "steps": total, "target_width": targets.width, **monitor.metrics}
