"""The queue of two views against a plain list of the newest entries."""

from __future__ import annotations

from collections import deque

import pytest
import torch
from hypothesis import given, strategies as st

from stages.nn.queue import NOBODY, DualQueue

NAMES = ("sources", "labels", "videos")


def batch(start: int, n: int) -> list[torch.Tensor]:
    """Entries whose every part tells their number."""
    numbers = torch.arange(start, start + n)
    keys, others = numbers.float()[:, None].expand(n, 3), -numbers.float()[:, None].expand(n, 2)
    return [keys, others, numbers // 2, numbers % 4, numbers + 100]


@given(st.integers(1, 9), st.lists(st.integers(1, 12), max_size=12))
def test_it_holds_the_newest_entries_whole(size, batches):
    queue, expected, start = DualQueue(size, 3, 2), deque(maxlen=size), 0
    for n in batches:
        queue.put(*batch(start, n))
        expected.extend(range(start, start + n))
        start += n
    there = queue.filled
    assert queue.count == len(expected) == int(there.sum()) and queue.full == (len(expected) == size)
    numbers = queue.videos[there] - 100
    assert sorted(numbers.tolist()) == sorted(expected)
    assert (queue.keys[there] == numbers[:, None]).all() and (queue.others[there] == -numbers[:, None]).all()
    assert (queue.sources[there] == numbers // 2).all() and (queue.labels[there] == numbers % 4).all()
    assert all((getattr(queue, name)[~there] == NOBODY).all() for name in NAMES)


def test_wrap_around_overwrites_the_oldest():
    queue = DualQueue(5, 3, 2)
    for start in (0, 3):
        queue.put(*batch(start, 3))
    assert queue.videos.tolist() == [105, 101, 102, 103, 104] and queue.others[:, 0].tolist() == [-5, -1, -2, -3, -4]
    assert (queue.pointer, queue.full) == (1, True)
    assert queue.age() == pytest.approx(2 / 5)


def test_the_state_survives_a_checkpoint(tmp_path):
    queue, copy = DualQueue(5, 3, 2), DualQueue(5, 3, 2)
    queue.put(*batch(0, 4))
    torch.save(queue.state_dict(), tmp_path / "queue.pt")
    copy.load_state_dict(torch.load(tmp_path / "queue.pt", weights_only=True))
    for q in (queue, copy):
        q.put(*batch(4, 3))
    assert all(torch.equal(a, b) for a, b in zip(queue.buffers(), copy.buffers()))
    assert (copy.pointer, copy.count, copy.age()) == (queue.pointer, queue.count, queue.age())
