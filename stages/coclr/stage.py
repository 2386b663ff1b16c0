"""The coclr stage: one half-cycle. Train one view's encoder on positives that another view's frozen encoder mines."""

from __future__ import annotations

import torch

from engine.errors import UserError
from engine.run.context import Context
from stages.coclr.handed import Handed
from stages.coclr.miner import load_miner
from stages.coclr.mining import mine
from stages.coclr.monitor import PANELS as MINING_PANELS, MiningMonitor, Step
from stages.coclr.pictures import mined_picture, view_pictures
from stages.coclr.positives import draw_dropped, positive_columns
from stages.coclr.spec import Config
from stages.nn.curves import curve_picture
from stages.nn.losses import contrastive_logits, contrastive_loss
from stages.nn.momentum import in_groups, in_shuffled_groups, momentum_copy, momentum_update
from stages.nn.monitor import PANELS, ContrastMonitor
from stages.nn.optim import learning_rate, optimizer, set_learning_rate
from stages.nn.precision import numbers
from stages.nn.queue import DualQueue
from stages.nn.spec import Card
from stages.nn.start import new_embedder
from stages.nn.weights import save_encoder, save_head
from stages.video.clips import Clips
from stages.video.loader import Epochs, Loader, Pairs, default_workers
from stages.video.transforms import normalise
from stages.video.views import open_view


def run(config: Config, context: Context) -> dict:
    """Train on the ``train`` split; write encoder, head and pictures; return where the curves ended."""
    device, schedule = context.device, config.schedule
    clips = Clips.open(context.input("clips"), context)
    epochs = Epochs(clips.split("train"), schedule.batch, context.seed_for("order"))
    views = [open_view(view, clips, context) for view in (config.view, config.other)]
    pairs = Pairs(views[0], config.clip, epochs, context.seed_for("augment"), other=views[1])
    total = schedule.epochs * epochs.steps
    waits = steps_without_training(config, total)

    how = numbers(config.precision, device)
    network = how.place(
        new_embedder(config.encoder, config.view.channels, config.dim, context, context.input("init"))
    )
    slow = momentum_copy(network)
    miner = how.place(load_miner(context.input("miner"), config.other, config.dim, context))
    queue = DualQueue(config.queue, config.dim, miner.width).to(device)
    optim = optimizer(schedule, network.parameters())
    handed = Handed(network, config.hand_on)
    monitor = ContrastMonitor(context, total, config.temperature)
    mining = MiningMonitor(context, epochs.steps, len(clips.frames), min(config.topk, config.queue))
    state = {"network": network, "slow": slow, "queue": queue, "optimizer": optim, "handed": handed}
    state |= {"monitor": monitor, "mining": mining}
    groups = 2 if config.shuffle_bn == "split" else 1

    for name, picture in view_pictures(pairs[0], config.view, config.other).items():
        context.picture(name, picture)
    with Loader(pairs, total, context.workers(default_workers(device)), device) as loader:
        for step in context.steps(total, state):
            batch = loader[step]
            query_clips, key_clips = (how.lay_out(normalise(c, config.view)) for c in batch.coloured(device))
            other_clips = how.lay_out(normalise(batch.coloured_other(device), config.other))
            sources, labels, rows = (t.to(device, non_blocking=True) for t in (batch.sources, batch.labels, batch.rows))
            with torch.no_grad(), how.autocast():
                keys = in_shuffled_groups(slow, key_clips, groups)
                hints = miner(other_clips)

            if step < waits:
                queue.put(keys, hints, sources, labels, rows)
                continue
            with how.autocast():
                queries = in_groups(network, query_clips, groups)
            siblings = sources[:, None] == queue.sources
            candidates = queue.filled & ~siblings
            mined = mine(hints, queue.others, candidates, config.topk)
            dropped = draw_dropped(config.own_positive, context.rng("own_positive", step), len(rows))
            dropped = dropped.to(device, non_blocking=True)
            positives, valid = positive_columns(
                mined.mask(queue.size), siblings, queue.filled, dropped, config.same_source, config.own_positive
            )
            logits = contrastive_logits(queries, keys, queue.keys, config.temperature)
            loss = contrastive_loss(logits, positives, valid)

            rate = learning_rate(schedule, step, epochs.steps)
            set_learning_rate(optim, rate)
            optim.zero_grad(set_to_none=True)
            loss.backward()
            optim.step()
            momentum_update(slow, network, config.momentum)

            cosines = logits.detach() * config.temperature
            now = Step(loss, cosines, valid, ~positives[:, 0], mined, candidates, siblings, rows, labels)
            ended = mining.after(step, now, queue)
            queue.put(keys, hints, sources, labels, rows)
            positives[:, 0] = valid[:, 0] = True  # whether dropped or not, the curves count the own key as what it is
            monitor.after(step, loss, logits, positives, valid, queries, keys, queue, rate)
            monitor.pace(step, schedule.batch, loader.waited)
            if ended is not None:
                handed.after_epoch(ended)

    handed.put_back()
    card = Card(
        encoder=config.encoder, view_name=config.view_name, view=config.view, clip=config.clip, stage=context.name
    )
    save_encoder(context.out, network.encoder, card)
    save_head(context.out, network.head)
    context.picture("curves", curve_picture(context.curves_state(), PANELS | MINING_PANELS))
    if (picture := mined_picture(clips, mining.mined, mining.similarity, views, config.other_name)) is not None:
        context.picture("mined", picture)
    return {"videos": len(epochs.rows), "steps": total, "waited_steps": waits, **monitor.metrics, **mining.metrics}


def steps_without_training(config: Config, total: int) -> int:
    """Steps at the start that only fill the queue. Raises UserError when these are all."""
    if config.fill == "train":
        return 1  # an empty queue has nothing that the own key could be told from
    waits = -(-config.queue // config.schedule.batch)
    if waits >= total:
        raise UserError(
            f"a queue of {config.queue} keys is full after {waits} batches of {config.schedule.batch}, but the "
            f"half-cycle has only {total}: nothing would be trained. Make queue smaller or schedule.epochs larger, or "
            "set fill to train"
        )
    return waits
