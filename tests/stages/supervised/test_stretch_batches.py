"""Batches of clips from stretches: where they come from, and that they depend on seed, epoch and stretch alone."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from stages.supervised.batches import StretchBatches
from stages.supervised.stretches import Stretches
from stages.video.loader import Epochs
from stages.video.spec import Clip, Rgb
from stages.video.views import ViewReader

STRETCHES = Stretches(*(np.array(column) for column in ([0, 0, 1], [2, 9, 0], [4, 3, 12], [1, 0, 1])), ("jump", "spin"))


@pytest.fixture
def make_batches(make_clips):
    clips = make_clips([(0, "train"), (1, "train")], frames=12)

    def make(seed: int = 0, pad: str = "first") -> StretchBatches:
        clip = Clip(frames=3, size=16, pad=pad)
        return StretchBatches(ViewReader(Rgb(), clips), clip, STRETCHES, Epochs(np.arange(3), 3, 0), seed)

    return make


def test_clips_lie_inside_their_stretch_and_come_everywhere(make_batches):
    batches = make_batches()
    starts = {place: {int(batches.frames(epoch, place)[0]) for epoch in range(60)} for place in range(3)}
    assert starts == {0: {2, 3}, 1: {9}, 2: set(range(10))}
    assert batches.frames(0, 1).tolist() == [9, 10, 11]


def test_a_short_stretch_is_filled_from_itself(make_batches):
    batches = make_batches()
    short = Stretches(np.array([1]), np.array([5]), np.array([2]), np.array([0]), ("jump",))
    for pad, expected in (("first", [5, 5, 6]), ("last", [5, 6, 6]), ("loop", [5, 6, 5])):
        clip = Clip(frames=3, size=16, pad=pad)
        assert StretchBatches(batches.reader, clip, short, batches.epochs, 0).frames(0, 0).tolist() == expected


def test_a_batch_is_a_function_of_the_step(make_batches):
    first, again = make_batches()[4], make_batches()[4]
    assert torch.equal(first.clips, again.clips) and first.clips.shape == (3, 3, 3, 16, 16)
    assert first.clips.dtype == torch.uint8
    order = Epochs(np.arange(3), 3, 0).at(4)[1]
    assert first.labels.tolist() == STRETCHES.target[order].tolist()
    assert not torch.equal(make_batches(seed=1)[4].clips, first.clips)
    assert not torch.equal(make_batches()[5].clips, first.clips)
