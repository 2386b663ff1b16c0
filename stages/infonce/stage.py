"""The infonce stage: train one encoder against a queue of keys."""

from __future__ import annotations

import torch

from engine.run.context import Context
from stages.infonce.spec import Config
from stages.nn.curves import curve_picture
from stages.nn.losses import contrastive_logits, contrastive_loss, label_positives, own_positive
from stages.nn.momentum import in_groups, in_shuffled_groups, momentum_copy, momentum_update
from stages.nn.monitor import PANELS, ContrastMonitor
from stages.nn.optim import learning_rate, optimizer, set_learning_rate
from stages.nn.precision import numbers
from stages.nn.queue import KeyQueue
from stages.nn.spec import Card
from stages.nn.start import new_embedder
from stages.nn.weights import save_encoder, save_head
from stages.video.clips import Clips
from stages.video.grid import pair_grid
from stages.video.loader import Epochs, Loader, Pairs, default_workers
from stages.video.transforms import denormalise, normalise
from stages.video.views import open_view


def run(config: Config, context: Context) -> dict:
    """Train on the ``train`` split; write encoder, head and pictures; return where the curves ended."""
    device, schedule = context.device, config.schedule
    clips = Clips.open(context.input("clips"), context)
    epochs = Epochs(clips.split("train"), schedule.batch, context.seed_for("order"))
    pairs = Pairs(open_view(config.view, clips, context), config.clip, epochs, context.seed_for("augment"))
    total = schedule.epochs * epochs.steps

    how = numbers(config.precision, device)
    init = context.input("init") if "init" in context.inputs else None
    network = how.place(new_embedder(config.encoder, config.view.channels, config.dim, context, init))
    slow = momentum_copy(network)
    queue = KeyQueue(config.queue, config.dim).to(device)
    optim = optimizer(schedule, network.parameters())
    monitor = ContrastMonitor(context, total, config.temperature)
    state = {"network": network, "slow": slow, "queue": queue, "optimizer": optim, "monitor": monitor}
    groups = 2 if config.shuffle_bn == "split" else 1

    first = (denormalise(normalise(c, config.view), config.view) for c in pairs[0].coloured(torch.device("cpu")))
    context.picture("views", pair_grid(*first))
    with Loader(pairs, total, context.workers(default_workers(device)), device) as loader:
        for step in context.steps(total, state):
            batch = loader[step]
            query_clips, key_clips = (how.lay_out(normalise(c, config.view)) for c in batch.coloured(device))
            labels = batch.labels.to(device, non_blocking=True)
            with how.autocast():
                queries = in_groups(network, query_clips, groups)
                with torch.no_grad():
                    keys = in_shuffled_groups(slow, key_clips, groups)

            logits = contrastive_logits(queries, keys, queue.keys, config.temperature)
            positives = label_positives(labels, queue.labels) if config.positives == "label" else own_positive(logits)
            valid = torch.cat([torch.ones_like(queue.filled[:1]), queue.filled])
            loss = contrastive_loss(logits, positives, valid, config.sum)

            rate = learning_rate(schedule, step, epochs.steps)
            set_learning_rate(optim, rate)
            optim.zero_grad(set_to_none=True)
            loss.backward()
            if queue.count:  # the very first batch has nothing to be told apart from: its step would be weight decay alone
                optim.step()
                momentum_update(slow, network, config.momentum)
            queue.put(keys, batch.sources.to(device, non_blocking=True), labels)
            monitor.after(step, loss, logits, positives, valid, queries, keys, queue, rate)
            monitor.pace(step, schedule.batch, loader.waited)

    card = Card(
        encoder=config.encoder, view_name=config.view_name, view=config.view, clip=config.clip, stage=context.name
    )
    save_encoder(context.out, network.encoder, card)
    save_head(context.out, network.head)
    context.picture("curves", curve_picture(context.curves_state(), PANELS))
    return {"videos": len(epochs.rows), "steps": total, **monitor.metrics}
