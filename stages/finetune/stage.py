"""The finetune stage: train a whole network, from an encoder that was trained before, to tell classes apart."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch.nn import functional as F
from torch.nn.utils import clip_grad_norm_

from engine.run.context import Context
from stages.classify.batches import TrainBatches
from stages.classify.classifier import Classifier, save_classifier
from stages.classify.holdout import held_out
from stages.classify.mixing import Mixer
from stages.features.spec import Look
from stages.features.splits import train_and_test
from stages.features.windows import WindowBatches
from stages.finetune.groups import parameter_groups, scale_rates
from stages.finetune.monitor import PANELS, TrainingMonitor
from stages.finetune.selection import BestEpoch, judge
from stages.finetune.spec import Config
from stages.nn.curves import curve_picture
from stages.nn.layers import spare_vectors
from stages.nn.mvit import set_drop_path
from stages.nn.optim import learning_rate, optimizer
from stages.nn.pace import Pace
from stages.nn.precision import numbers
from stages.nn.weights import load_encoder
from stages.video.clips import Clips
from stages.video.colour import recolour
from stages.video.loader import Epochs, Loader, default_workers
from stages.video.transforms import normalise
from stages.video.views import open_view


def run(config: Config, context: Context) -> dict[str, Any]:
    """Train on the ``train`` split; write encoder, linear layer and curves; return where the curves ended."""
    device, schedule = context.device, config.schedule
    clips = Clips.open(context.input("clips"), context)
    train, _ = train_and_test(clips, context)
    held = held_out(clips, train, config.held_out, context) if config.held_out else np.zeros(len(train), bool)
    if config.held_out and not held.any():
        context.warn("too few training videos to hold some out: the last epoch is handed on")
    reader = open_view(config.view, clips, context)
    epochs = Epochs(train.rows[~held], schedule.batch, context.seed_for("order"))
    batches = TrainBatches(reader, config.clip, epochs, context.seed_for("augment"), config.augmentation)
    clips_a_step = schedule.batch * config.augmentation.repeats
    at_once = schedule.at_once(clips_a_step)
    total = schedule.epochs * epochs.steps

    how = numbers(config.precision, device)
    encoder, card = load_encoder(context.input("init"))
    network = Classifier(encoder, len(clips.classes), config.dropout, context.seed_for("head"))
    with torch.no_grad():
        network.linear.weight.mul_(config.head_scale)
        network.linear.bias.mul_(config.head_scale)
    if config.drop_path is not None:
        set_drop_path(encoder.body, config.drop_path)
    network = how.place(network.train())
    groups = parameter_groups(network, schedule.lr, config.backbone_lr, config.layer_decay)
    optim = optimizer(schedule, groups if schedule.decay_vectors else spare_vectors(groups))
    mixer = Mixer(config.mix, len(clips.classes), context.seed_for("mix")) if config.mix else None
    decay = schedule.model_copy(update={"lr": 1.0})
    monitor, pace, best = TrainingMonitor(context, total), Pace(context), BestEpoch(network)
    if held.any():
        look = Look(clip=config.clip, windows=config.held_out.windows, precision=config.precision)
        unseen = WindowBatches.of(reader, train.rows[held], look)
    targets = torch.from_numpy(clips.targets)

    state = {"network": network, "optimizer": optim, "monitor": monitor, "best": best}
    with Loader(batches, total, context.workers(default_workers(device)), device) as loader:
        for step in context.steps(total, state):
            pixels, colours, rows = loader[step]
            shown = normalise(recolour(pixels.to(device, non_blocking=True), colours), config.view)
            labels = targets[rows].to(device, non_blocking=True)
            shown, wanted = mixer(step, shown, labels) if mixer else (shown, labels)
            rates = scale_rates(optim, learning_rate(decay, step, epochs.steps))
            optim.zero_grad(set_to_none=True)
            losses, answers = [], []
            for part, true in zip(shown.split(at_once), wanted.split(at_once), strict=True):  # gradients add up
                with how.autocast():
                    logits = network(how.lay_out(part))
                loss = F.cross_entropy(logits, true, label_smoothing=config.label_smoothing) * (len(part) / clips_a_step)
                loss.backward()
                losses.append(loss.detach())
                answers.append(logits.detach())
            if schedule.gradient_clip is not None:
                clip_grad_norm_(network.parameters(), schedule.gradient_clip)
            optim.step()
            monitor.after(step, torch.stack(losses).sum(), torch.cat(answers), labels, rates)
            if monitor.due(step):
                pace.note(step + 1, clips_a_step, loader.waited)

            epoch, rest = divmod(step + 1, epochs.steps)
            if held.any() and rest == 0 and (epoch % config.held_out.every == 0 or epoch == schedule.epochs):
                accuracy, cross_entropy = judge(network, unseen, train.targets[held], how, context)
                context.log(step + 1, held_out_top1=accuracy, held_out_loss=cross_entropy)
                best.offer(epoch, accuracy, cross_entropy)

    found = {
        "videos": len(epochs.rows),
        "steps": total,
        "epoch": best.epoch or schedule.epochs,
        **monitor.metrics,
    }
    if held.any():
        best.put_back()
        found |= {
            "held_out_videos": int(held.sum()),
            "held_out_top1": best.accuracy,
            "held_out_loss": best.loss,
        }
    card = card.model_copy(update={"clip": config.clip, "stage": context.name})
    save_classifier(context.out, network, card, clips.classes)
    context.picture("curves", curve_picture(context.curves_state(), PANELS))
    return found
