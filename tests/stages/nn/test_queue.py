"""The queue of keys against a plain list of the newest entries."""

from __future__ import annotations

from collections import deque

import pytest
import torch
from hypothesis import given, strategies as st

from stages.nn.queue import NOBODY, KeyQueue


def batch(start: int, n: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    numbers = torch.arange(start, start + n)
    return numbers.float()[:, None].expand(n, 3), numbers, numbers % 4


@given(st.integers(1, 9), st.lists(st.integers(1, 12), max_size=12))
def test_it_holds_the_newest_entries(size, batches):
    queue, expected, ages, start = KeyQueue(size, 3), deque(maxlen=size), deque(maxlen=size), 0
    for number, n in enumerate(batches):
        queue.put(*batch(start, n))
        expected.extend(range(start, start + n))
        ages.extend([number] * n)
        start += n
    assert int(queue.filled.sum()) == queue.count == len(expected)
    assert sorted(queue.sources[queue.filled].tolist()) == sorted(expected)
    assert (queue.keys[:, 0][queue.filled] == queue.sources[queue.filled]).all()
    assert (queue.labels[queue.filled] == queue.sources[queue.filled] % 4).all()
    assert (queue.sources[~queue.filled] == NOBODY).all() and (queue.labels[~queue.filled] == NOBODY).all()
    mean_age = sum(len(batches) - 1 - a for a in ages) / len(ages) if ages else 0.0
    assert queue.age() == pytest.approx(mean_age)


def test_wrap_around_overwrites_the_oldest():
    queue = KeyQueue(5, 3)
    queue.put(*batch(0, 3))
    assert queue.filled.tolist() == [True, True, True, False, False]
    queue.put(*batch(3, 3))
    assert queue.sources.tolist() == [5, 1, 2, 3, 4]
    assert queue.pointer == 1
    assert queue.age() == pytest.approx(2 / 5)  # entries 1 and 2 are one batch old


def test_the_state_survives_a_checkpoint(tmp_path):
    queue, copy = KeyQueue(5, 3), KeyQueue(5, 3)
    queue.put(*batch(0, 3))
    queue.put(*batch(3, 4))
    torch.save(queue.state_dict(), tmp_path / "queue.pt")
    copy.load_state_dict(torch.load(tmp_path / "queue.pt", weights_only=True))
    for q in (queue, copy):
        q.put(*batch(7, 2))
    assert copy.sources.tolist() == queue.sources.tolist() and copy.pointer == queue.pointer
    assert copy.age() == queue.age() and copy.filled.tolist() == queue.filled.tolist()


def test_keys_keep_no_graph():
    queue, keys = KeyQueue(4, 3), torch.randn(2, 3, requires_grad=True)
    queue.put(keys * 2, torch.zeros(2, dtype=torch.int64), torch.zeros(2, dtype=torch.int64))
    assert not queue.keys.requires_grad
