"""What a half-cycle tells of its mining, epoch by epoch: whether it finds clips of the class, and the same ones again.

Labels are used here and in pictures only, never in training.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import torch
from torch import Tensor

from engine.run.context import Context
from stages.coclr.mining import Mined
from stages.nn.queue import NOBODY, DualQueue

NEAR_ZERO = 0.1
"""Mean loss of the first epoch below which little is left to learn: nine tenths of the softmax are on positives."""

PANELS = {
    "mining": ("mining_precision", "mining_chance", "mining_overlap"),
    "own key": ("own_key_top1", "own_dropped"),
    "rank of the own key": ("own_key_rank",),
}

_SUMS = (
    "steps", "loss", "queries", "rank", "dropped", "siblings", "found", "right", "asking", "chance", "known", "again",
    "near", "near_other",
)  # fmt: skip


class Step(NamedTuple):
    """One step of training, before its keys enter the queue.

    loss: scalar; cosines: [N, 1 + K] of queries to own key and queue; valid: bool of the same shape, columns of the
    denominator; dropped: bool [N], own keys that were no positives; candidates, siblings: bool [N, K], queued clips
    that could be mined, and those of the query's source; rows, labels: int64 [N], of the queries' videos.
    """

    loss: Tensor
    cosines: Tensor
    valid: Tensor
    dropped: Tensor
    mined: Mined
    candidates: Tensor
    siblings: Tensor
    rows: Tensor
    labels: Tensor


class MiningMonitor:
    """Sums up the steps of an epoch on the device and logs means at its end. Its state belongs into the checkpoints.

    mined: int64 [videos, k], rows of the videos that were mined for each video when it was last a query, nearest first,
    NOBODY where there were none; similarity: float32 [videos, k], their cosines in the other view.
    """

    def __init__(self, context: Context, steps_per_epoch: int, videos: int, k: int) -> None:
        self.context = context
        self.steps_per_epoch = steps_per_epoch
        self.metrics: dict[str, float] = {}
        device = context.device
        self.mined = torch.full((videos, k), NOBODY, device=device)
        self.similarity = torch.zeros(videos, k, device=device)
        self._sums = torch.zeros(len(_SUMS), dtype=torch.float64, device=device)
        self._full = True  # whether the queue was, in all steps of this epoch
        self._judged = False
        self._warned = False

    @torch.no_grad()
    def after(self, step: int, now: Step, queue: DualQueue) -> float | None:
        """Take note of a step; ``queue`` is still as it was mined.

        Returns the mean loss of the epoch that ends with the step, if one does and the queue was full in all of its
        steps: losses against a shorter queue are lower, and cannot be compared.
        """
        self._sums += torch.stack([value.double() for value in self._measured(now, queue)])
        self._remember(now, queue)
        self._full &= queue.full
        if (step + 1) % self.steps_per_epoch:
            return None
        sums = dict(zip(_SUMS, self._sums.tolist()))  # waits for the device, once an epoch
        full, self._full = self._full, True
        self._sums.zero_()
        values = epoch_means(sums)
        self.metrics |= values
        self.context.log(step + 1, **values)
        if not full:
            return None
        self._judge(values, sums["asking"])
        return values["epoch_loss"]

    def state_dict(self) -> dict[str, Any]:
        return {
            "mined": self.mined.cpu(),
            "similarity": self.similarity.cpu(),
            "sums": self._sums.cpu(),
            "full": self._full,
            "judged": self._judged,
            "warned": self._warned,
            "metrics": dict(self.metrics),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        device = self.context.device
        self.mined, self.similarity = state["mined"].to(device), state["similarity"].to(device)
        self._sums = state["sums"].to(device)
        self._full, self._judged, self._warned = state["full"], state["judged"], state["warned"]
        self.metrics = dict(state["metrics"])

    def _measured(self, now: Step, queue: DualQueue) -> list[Tensor]:
        """What a step adds to each of ``_SUMS``, scalars."""
        mined = now.mined
        right = mined.found & (queue.labels[mined.slots] == now.labels[:, None])
        known, again = recurrences(self.mined[now.rows], self._videos(mined, queue), queue.videos, len(self.mined))
        asking = mined.found.any(1)
        alike = now.candidates & (queue.labels[None, :] == now.labels[:, None])
        chance = alike.sum(1) / now.candidates.sum(1).clamp(min=1)
        near = now.cosines[:, 1:].gather(1, mined.slots)
        return [
            torch.ones_like(now.loss),
            now.loss,
            torch.ones_like(now.dropped).sum(),
            own_key_rank(now.cosines, now.valid).sum(),
            now.dropped.sum(),
            now.siblings.sum(),
            mined.found.sum(),
            right.sum(),
            asking.sum(),
            chance.masked_fill(~asking, 0).sum(),
            known.sum(),
            again.sum(),
            near.masked_fill(~mined.found, 0).sum(),
            mined.similarity.masked_fill(~mined.found, 0).sum(),
        ]

    def _videos(self, mined: Mined, queue: DualQueue) -> Tensor:
        return queue.videos[mined.slots].masked_fill(~mined.found, NOBODY)

    def _remember(self, now: Step, queue: DualQueue) -> None:
        self.mined.index_copy_(0, now.rows, self._videos(now.mined, queue))
        self.similarity.index_copy_(0, now.rows, now.mined.similarity)

    def _judge(self, values: dict[str, float], asking: float) -> None:
        if not self._judged and values["epoch_loss"] < NEAR_ZERO:
            self.context.warn(
                f"the loss is near zero from the start ({values['epoch_loss']:.3f} in the first epoch): after the "
                "warm-up the own keys match almost perfectly, and little is left to learn. "
                "`own_positive: {kind: drop}` takes them out of the positives"
            )
        self._judged = True
        if "mining_precision" in values and not self._warned and at_chance(values, asking):
            self._warned = True
            self.context.warn(
                f"only {values['mining_precision']:.1%} of the mined positives have the class of their query, no more "
                f"than by chance ({values['mining_chance']:.1%}), so they teach nothing about classes: train the model "
                "that mines for longer, or look at its view and at the picture `mined`"
            )


def epoch_means(sums: dict[str, float]) -> dict[str, float]:
    """Means of an epoch from its sums; what nothing was found for is left out.

    mining_precision: share of the mined that have the query's class. mining_chance: what drawing from the candidates
    would give. mining_overlap: of the videos that were mined when the query was last asked, and are in the queue, the
    share that is mined again. mined_similarity, mined_similarity_other: mean cosine of query and mined key in the
    trained view, and of key and mined key in the other. own_key_rank: mean place of the own key among all keys, from 1.
    own_dropped: share of queries whose own key was no positive. siblings: mean number of queued clips of the query's
    own source.
    """
    values = {
        "epoch_loss": sums["loss"] / sums["steps"],
        "own_key_rank": sums["rank"] / sums["queries"],
        "own_dropped": sums["dropped"] / sums["queries"],
        "siblings": sums["siblings"] / sums["queries"],
    }
    if sums["found"]:
        values |= {
            "mining_precision": sums["right"] / sums["found"],
            "mining_chance": sums["chance"] / sums["asking"],
            "mined_similarity": sums["near"] / sums["found"],
            "mined_similarity_other": sums["near_other"] / sums["found"],
        }
    if sums["known"]:
        values["mining_overlap"] = sums["again"] / sums["known"]
    return values


def at_chance(values: dict[str, float], queries: float) -> bool:
    """Whether the precision is within two standard errors of chance, or below.

    What is mined for one query counts as one draw. False where there are too few queries to tell: fewer than five that
    chance would serve, or would fail.
    """
    chance = values["mining_chance"]
    if queries * min(chance, 1 - chance) < 5:
        return False
    return values["mining_precision"] <= chance + 2 * math.sqrt(chance * (1 - chance) / queries)


def own_key_rank(cosines: Tensor, valid: Tensor) -> Tensor:
    """Place of the own key (column 0) among the valid columns, 1 for the nearest of all: int64 [N]. Both [N, 1 + K]."""
    return 1 + ((cosines[:, 1:] > cosines[:, :1]) & valid[:, 1:]).sum(1)


def recurrences(before: Tensor, now: Tensor, queued: Tensor, videos: int) -> tuple[Tensor, Tensor]:
    """Which videos mined before could have been mined again, and which were.

    before, now: int64 [N, k], rows of videos, NOBODY where there are none; queued: int64 [K], rows of the videos in the
    queue; videos: how many rows there are. Returns two masks of ``before``: whether it is in the queue, and whether it
    is in ``now`` too.
    """
    there = torch.zeros(videos + 1, dtype=torch.bool, device=before.device)  # place 0: NOBODY
    there.index_fill_(0, queued + 1, True)
    there[:1] = False
    known = there[before + 1]
    return known, known & (before[:, :, None] == now[:, None, :]).any(2)
