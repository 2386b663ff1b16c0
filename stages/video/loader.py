"""Training batches as a pure function of the seed and the step, made here or in loader processes: to the same bits."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Iterator, NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from engine.errors import UserError
from stages.video.augment import Colour, draw_pair
from stages.video.colour import recolour
from stages.video.sampling import frame_numbers, random_start
from stages.video.spec import Clip
from stages.video.transforms import training_clip

if TYPE_CHECKING:
    from stages.video.clips import Clips


@dataclass(frozen=True)
class Epochs:
    """Which videos stand in which batch: every epoch is a permutation of its own, its last incomplete batch left out.

    rows: int64 rows of the videos; seed: of the order.
    """

    rows: np.ndarray
    batch: int
    seed: int

    def __post_init__(self) -> None:
        if len(self.rows) < self.batch:
            raise UserError(
                f"the training split has {len(self.rows)} videos, fewer than one batch of {self.batch}: set "
                f"schedule.batch to {len(self.rows)} or less, or add videos"
            )

    @property
    def steps(self) -> int:
        """Batches in an epoch."""
        return len(self.rows) // self.batch

    def at(self, step: int) -> tuple[int, np.ndarray]:
        """The epoch of a step, and the rows [batch] of its videos."""
        epoch, position = divmod(step, self.steps)
        order = np.random.default_rng((self.seed, epoch)).permutation(len(self.rows))
        return epoch, self.rows[order[position * self.batch : (position + 1) * self.batch]]


class PairBatch(NamedTuple):
    """Queries and keys of one step: cropped and flipped, colours still to come.

    clips: uint8 [2, N, 3, T, S, S], queries before keys; sources, labels: int64 [N]; colours: of queries, then of keys.
    """

    clips: Tensor
    sources: Tensor
    labels: Tensor
    colours: list[Colour]

    def pin_memory(self) -> PairBatch:
        return self._replace(clips=self.clips.pin_memory())

    def coloured(self, device: torch.device) -> tuple[Tensor, Tensor]:
        """Queries and keys, float32 [N, 3, T, S, S] in [0, 1] on ``device``, with all of their augmentation."""
        clips = self.clips.to(device, non_blocking=True)
        queries, keys = recolour(clips.flatten(0, 1), self.colours).chunk(2)
        return queries, keys


class Pairs(Dataset):
    """Step -> PairBatch. Everything random about a sample comes from (seed, epoch, row), so no order of work matters."""

    def __init__(self, clips: Clips, clip: Clip, epochs: Epochs, seed: int) -> None:
        self.clips = clips
        self.clip = clip
        self.epochs = epochs
        self.seed = seed

    def __getitem__(self, step: int) -> PairBatch:
        epoch, rows = self.epochs.at(step)
        samples = [self._sample(epoch, int(row)) for row in rows]
        return PairBatch(
            clips=torch.stack([torch.stack([s[side] for s in samples]) for side in (0, 1)]),
            sources=torch.from_numpy(self.clips.groups[rows]),
            labels=torch.from_numpy(self.clips.targets[rows]),
            colours=[s[2][side] for side in (0, 1) for s in samples],
        )

    def _sample(self, epoch: int, row: int) -> tuple[Tensor, Tensor, tuple[Colour, Colour]]:
        rng = np.random.default_rng((self.seed, epoch, row))
        pair = draw_pair(rng)
        length = int(self.clips.frames[row])
        starts = [random_start(length, self.clip, rng) for _ in range(2)]
        # Only clips that are used are read: one for query and key together, or two.
        frames = {c: self.clips.read(row, frame_numbers(starts[c], length, self.clip)) for c in set(pair.clips)}
        query, key = (
            training_clip(frames[c], choices, self.clip.size)
            for c, choices in zip(pair.clips, (pair.query, pair.key))
        )
        return query, key, (pair.query.colour, pair.key.colour)


class Loader:
    """Hands out the batches of a data set (step -> batch) in order, from any step on, made ahead by ``workers`` processes.

    Use it as a context manager: leaving it ends the processes. ``waited``: seconds spent waiting for data so far.
    """

    def __init__(self, batches: Dataset, total: int, workers: int, device: torch.device) -> None:
        self.batches = _Reporting(batches)
        self.total = total
        self.workers = workers
        self.pin = device.type == "cuda"
        self.waited = 0.0
        self._coming: Iterator[Any] | None = None
        self._next = -1

    def __enter__(self) -> Loader:
        return self

    def __exit__(self, *_: object) -> None:
        self._coming = None  # the iterator's end shuts its processes down

    def __getitem__(self, step: int) -> Any:
        started = time.perf_counter()
        if self._coming is None or step != self._next:
            self._coming = self._from(step)
        batch = next(self._coming)
        self._next = step + 1
        self.waited += time.perf_counter() - started
        if isinstance(batch, UserError):
            raise batch
        return batch

    def _from(self, step: int) -> Iterator[Any]:
        loader = DataLoader(
            self.batches,
            batch_size=None,  # the data set makes whole batches
            sampler=range(step, self.total),
            num_workers=self.workers,
            pin_memory=self.pin,
            worker_init_fn=_one_thread if self.workers else None,
            # Of its own: the loader would otherwise draw from the global generator, which belongs to the training.
            generator=torch.Generator().manual_seed(0),
        )
        return iter(loader)


class _Reporting(Dataset):
    """Returns a user's mistake instead of raising it, as a loader process would bury its message in a traceback."""

    def __init__(self, batches: Dataset) -> None:
        self.batches = batches

    def __getitem__(self, step: int) -> Any:
        try:
            return self.batches[step]
        except UserError as error:
            return error


def _one_thread(worker: int) -> None:
    torch.set_num_threads(1)


def cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def default_workers(device: torch.device) -> int:
    """Loader processes where the machine's owner has not said: up to 8 beside a GPU.

    When the CPU itself trains, reading packed clips is about an eighth of the work: on two cores a process of its own
    would only get in the way of the training's threads, on more it is worth one.
    """
    if device.type == "cuda":
        return min(8, cores())
    return 0 if cores() <= 2 else 1
