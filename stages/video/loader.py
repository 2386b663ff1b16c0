"""Training batches as a pure function of the seed and the step, made here or in loader processes: to the same bits."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Iterator, NamedTuple, Sequence

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from engine.errors import UserError
from stages.video.augment import Augmentation, Colour, draw_pair
from stages.video.colour import recolour
from stages.video.sampling import frame_numbers, random_start
from stages.video.spec import Clip, View
from stages.video.transforms import recoloured, training_clip

if TYPE_CHECKING:
    from stages.video.views import ViewReader


@dataclass(frozen=True)
class Epochs:
    """Which videos stand in which batch: every epoch is a permutation of its own, its last incomplete batch left out.

    rows: int64 rows of the videos; seed: of the order. Raises UserError when they fill no batch.
    """

    rows: np.ndarray
    batch: int
    seed: int

    def __post_init__(self) -> None:
        if not len(self.rows):
            raise UserError(
                "the training split has no videos, so there is nothing to train on: check the splits in the spec's data, "
                "and the problems.csv of its stages for videos that were left out"
            )
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

    clips: uint8 [2, N, C, T, S, S], queries before keys; sources, labels, rows: int64 [N]; colours: of queries, then of keys.
    other: uint8 [N, C', T, S, S], another view of the keys' frames with the keys' crop and flip, or None; other_colours: of these.
    """

    clips: Tensor
    sources: Tensor
    labels: Tensor
    rows: Tensor
    colours: list[Colour]
    other: Tensor | None = None
    other_colours: Sequence[Colour] = ()

    def pin_memory(self) -> PairBatch:
        return self._replace(clips=self.clips.pin_memory(), other=None if self.other is None else self.other.pin_memory())

    def coloured(self, device: torch.device) -> tuple[Tensor, Tensor]:
        """Queries and keys, float32 [N, C, T, S, S] in [0, 1] on ``device``, with all of their augmentation."""
        clips = self.clips.to(device, non_blocking=True)
        queries, keys = recolour(clips.flatten(0, 1), self.colours).chunk(2)
        return queries, keys

    def coloured_other(self, device: torch.device) -> Tensor:
        """The keys in the other view, float32 [N, C', T, S, S] in [0, 1] on ``device``, with all of their augmentation."""
        return recolour(self.other.to(device, non_blocking=True), self.other_colours)


class Pairs(Dataset):
    """Step -> PairBatch. Everything random about a sample comes from (seed, epoch, row), so no order of work matters.

    With ``other`` the keys come in that view too. The same choices hold for all views of a clip.
    """

    def __init__(
        self, reader: ViewReader, clip: Clip, epochs: Epochs, seed: int, other: ViewReader | None = None
    ) -> None:
        self.reader = reader
        self.clip = clip
        self.epochs = epochs
        self.seed = seed
        self.other = other

    def __getitem__(self, step: int) -> PairBatch:
        epoch, rows = self.epochs.at(step)
        samples = [self._sample(epoch, int(row)) for row in rows]
        clips = self.reader.clips
        batch = PairBatch(
            clips=torch.stack([torch.stack([s.clips[side] for s in samples]) for side in (0, 1)]),
            sources=torch.from_numpy(clips.groups[rows]),
            labels=torch.from_numpy(clips.targets[rows]),
            rows=torch.from_numpy(rows),
            colours=[_colour(s.choices[side], self.reader.view) for side in (0, 1) for s in samples],
        )
        if self.other is None:
            return batch
        return batch._replace(
            other=torch.stack([s.other for s in samples]),
            other_colours=[_colour(s.choices[1], self.other.view) for s in samples],
        )

    def _sample(self, epoch: int, row: int) -> _Sample:
        rng = np.random.default_rng((self.seed, epoch, row))
        pair = draw_pair(rng)
        length = int(self.reader.clips.frames[row])
        starts = [random_start(length, self.clip, rng) for _ in range(2)]
        numbers = {c: frame_numbers(starts[c], length, self.clip) for c in set(pair.clips)}
        # Only clips that are used are read: one for query and key together, or two; in the other view the key's alone.
        frames = {c: self.reader.read(row, numbers[c]) for c in numbers}
        choices = (pair.query, pair.key)
        clips = tuple(
            training_clip(frames[c], chosen, self.clip.size, self.reader.view)
            for c, chosen in zip(pair.clips, choices)
        )
        if self.other is None:
            return _Sample(clips, choices)
        other = self.other.read(row, numbers[pair.clips[1]])
        return _Sample(clips, choices, training_clip(other, pair.key, self.clip.size, self.other.view))


class _Sample(NamedTuple):
    clips: tuple[Tensor, Tensor]
    choices: tuple[Augmentation, Augmentation]
    other: Tensor | None = None


def _colour(choices: Augmentation, view: View) -> Colour:
    return choices.colour if recoloured(view) else Colour()


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
