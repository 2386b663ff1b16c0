"""Mode ``sgd``: a linear classifier trained on augmented clips through the frozen encoder, as in CoCLR's code.

The encoders of all seeds see each batch, and all settings that are tried learn from the same features, so that
trying more of them costs next to nothing. For each setting one head leaves out the held-out videos, to be judged on
them, and one learns from all; the latter of the best setting is what test videos are shown to.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from engine.errors import UserError
from stages.classify.batches import TrainBatches
from stages.classify.probabilities import log_probabilities
from stages.features.frozen import Frozen, load_frozen
from stages.features.splits import Part
from stages.features.windows import WindowBatches
from stages.linear_probe.heads import Heads, Task
from stages.linear_probe.result import Probed, Trial, best_of, to_all_classes
from stages.linear_probe.spec import Augmented, Sgd
from stages.nn.metrics import top_k_accuracy
from stages.nn.optim import learning_rate
from stages.nn.spec import Schedule
from stages.video.colour import recolour
from stages.video.loader import Epochs, Loader, default_workers
from stages.video.views import ViewReader, open_view

if TYPE_CHECKING:
    from engine.run.context import Context
    from stages.video.clips import Clips


def probe_clips(
    clips: Clips, train: Part, test: Part, held: NDArray[np.bool_], config: Augmented, context: Context
) -> dict[int, Probed]:
    """Probe the encoders of all seeds. held: [training videos] those on which lr and weight decay are chosen."""
    if len(train) < 2:
        raise UserError(
            "the sgd probe needs 2 training videos at least: batch norm has no statistics of a single one"
        )
    seen, targets = np.unique(train.targets, return_inverse=True)
    frozen = load_frozen(context.inputs["models"], config.look, context)
    reader = open_view(frozen.view, clips, context)
    tasks = plan_tasks(config.sgd, len(config.seeds), bool(held.any()))
    if len(tasks) == len(config.seeds) and len(config.sgd.lr) * len(config.sgd.weight_decay) > 1:
        context.warn(
            "too few training videos to hold some out: the first lr and the first weight_decay are taken"
        )
    starts = [context.seed_for("head", seed) for seed in config.seeds]
    heads = Heads(tasks, frozen.width, len(seen), starts, config.sgd.momentum, context.device)
    train_heads(heads, frozen, reader, train.rows, targets, held, config, context)

    trials: dict[int, list[Trial]] = {s: [] for s in range(len(config.seeds))}
    judged = [i for i, task in enumerate(tasks) if not task.whole]
    if judged:
        scores = classify(heads, judged, frozen, reader, train.rows[held], config, context)
        for i, found in zip(judged, scores):
            trials[tasks[i].seed].append(_trial(tasks[i], found, targets[held]))
    best = [best_of(trials[s]) if trials[s] else 0 for s in trials]
    whole = [[i for i, task in enumerate(tasks) if task.whole and task.seed == s] for s in trials]
    scores = classify(heads, [whole[s][best[s]] for s in trials], frozen, reader, test.rows, config, context)
    return {
        seed: Probed(to_all_classes(scores[s], seen, len(clips.classes)), tuple(trials[s]), best[s])
        for s, seed in enumerate(config.seeds)
    }


def plan_tasks(sgd: Sgd, seeds: int, can_choose: bool) -> list[Task]:
    """For each seed and setting a head that learns from all videos, and, to choose by, one that leaves some out."""
    settings = [(lr, decay) for lr in sgd.lr for decay in sgd.weight_decay]
    if not can_choose:
        settings = settings[:1]
    parts = (True, False) if len(settings) > 1 else (True,)
    return [
        Task(seed, lr, decay, whole) for seed in range(seeds) for lr, decay in settings for whole in parts
    ]


def train_heads(
    heads: Heads,
    frozen: Frozen,
    reader: ViewReader,
    rows: NDArray[np.int64],
    targets: NDArray,
    held: NDArray[np.bool_],
    config: Augmented,
    context: Context,
) -> None:
    """Train on the videos in ``rows`` [N]; targets, held: [N]. Can be killed and goes on."""
    sgd, device = config.sgd, context.device
    epochs = Epochs(rows, min(sgd.batch, len(rows)), context.seed_for("order"))
    batches = TrainBatches(reader, config.look.clip, epochs, context.seed_for("augment"))
    total = sgd.epochs * epochs.steps
    decay = Schedule(epochs=sgd.epochs, lr=1.0, decay="step", milestones=sgd.milestones)
    with Loader(batches, total, context.workers(default_workers(device)), device) as loader:
        for step in context.steps(total, {"heads": heads}, "probe"):
            pixels, colours, batch_rows = loader[step]
            features = frozen(recolour(pixels.to(device, non_blocking=True), colours))
            videos = np.searchsorted(rows, batch_rows.numpy())
            labels = torch.from_numpy(targets[videos]).to(device)
            heads.learn(
                features, labels, torch.from_numpy(held[videos]), learning_rate(decay, step, epochs.steps)
            )
            if (step + 1) % epochs.steps == 0:
                context.log(step + 1, loss=heads.pop_loss())


def classify(
    heads: Heads,
    chosen: Sequence[int],
    frozen: Frozen,
    reader: ViewReader,
    rows: NDArray[np.int64],
    config: Augmented,
    context: Context,
) -> NDArray[np.float64]:
    """Log of the class probabilities, averaged over the windows of each video in ``rows``: [chosen, videos, classes]."""
    batches = WindowBatches.of(reader, rows, config.look)
    return log_probabilities(
        batches,
        lambda pixels: heads.probabilities(frozen(pixels), chosen),
        len(chosen),
        heads.classes,
        context,
    )


def _trial(task: Task, scores: NDArray, targets: NDArray) -> Trial:
    loss = -scores[np.arange(len(scores)), targets].mean()
    return Trial(
        {"lr": task.lr, "weight_decay": task.weight_decay}, top_k_accuracy(scores, targets, 1), float(loss)
    )
