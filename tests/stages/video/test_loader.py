"""Training batches: a pure function of seed and step, whoever makes them."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, strategies as st

from engine.errors import UserError
from stages.video import loader as loader_module
from stages.video.loader import Epochs, Loader, Pairs, default_workers
from stages.video.spec import Clip, Rgb
from stages.video.views import ViewReader

CPU = torch.device("cpu")
CLIP = Clip(frames=4, stride=2, size=16)


def same(a, b) -> bool:
    tensors = all(torch.equal(x, y) for x, y in zip(a[:4], b[:4]))
    return tensors and a.colours == b.colours


@pytest.fixture
def pairs(make_clips):
    lengths = [3, 7, 9, 12, 30, *[8] * 6]
    clips = make_clips([(row % 3, "train") for row in range(11)], frames=lengths, groups=range(100, 111))
    return Pairs(ViewReader(Rgb(), clips), CLIP, Epochs(clips.split("train"), 4, seed=1), seed=2)


@given(st.integers(1, 40), st.integers(1, 10), st.integers(0, 5), st.integers(0, 999))
def test_an_epoch_uses_every_video_at_most_once(videos, batch, epoch, seed):
    rows = np.arange(100, 100 + videos)
    if videos < batch:
        with pytest.raises(UserError, match=f"{videos} videos, fewer than one batch of {batch}.*schedule.batch to {videos}"):
            Epochs(rows, batch, seed)
        return
    epochs = Epochs(rows, batch, seed)
    assert epochs.steps == videos // batch
    seen = [epochs.at(epoch * epochs.steps + i) for i in range(epochs.steps)]
    used = np.concatenate([r for _, r in seen])
    assert {e for e, _ in seen} == {epoch}
    assert len(used) == epochs.steps * batch == len(set(used)) and set(used) <= set(rows)


def test_no_videos_are_nothing_to_train_on():
    with pytest.raises(UserError, match="no videos, so there is nothing to train on"):
        Epochs(np.zeros(0, np.int64), 4, seed=0)


def test_epochs_have_orders_of_their_own_and_seeds_too():
    rows = np.arange(20)
    orders = {tuple(Epochs(rows, 20, seed).at(epoch)[1]) for seed in range(3) for epoch in range(3)}
    assert len(orders) == 9


def test_a_batch_holds_queries_and_keys_with_source_and_label(pairs):
    batch = pairs[0]
    _, rows = pairs.epochs.at(0)
    assert batch.clips.shape == (2, 4, 3, 4, 16, 16) and batch.clips.dtype == torch.uint8
    assert batch.sources.tolist() == (rows + 100).tolist()
    assert batch.labels.tolist() == (rows % 3).tolist()
    assert batch.rows.tolist() == rows.tolist()
    assert batch.other is None
    assert len(batch.colours) == 8
    queries, keys = batch.coloured(CPU)
    assert queries.shape == keys.shape == (4, 3, 4, 16, 16)
    plain = [i for i, c in enumerate(batch.colours) if c.factors is None and c.grey is None and c.sigma is None]
    both = torch.cat([queries, keys])
    assert plain and all(torch.equal(both[i], batch.clips.flatten(0, 1)[i].float() / 255) for i in plain)


def test_a_sample_depends_on_its_epoch_and_video_alone(pairs):
    again = Pairs(pairs.reader, CLIP, Epochs(pairs.epochs.rows, 2, seed=9), seed=2)  # other batches, other order
    epoch, rows = pairs.epochs.at(0)
    other = next(s for s in range(again.epochs.steps) if rows[0] in again.epochs.at(s)[1])
    position = again.epochs.at(other)[1].tolist().index(rows[0])
    assert torch.equal(pairs[0].clips[:, 0], again[other].clips[:, position])
    assert not torch.equal(pairs[0].clips, Pairs(pairs.reader, CLIP, pairs.epochs, seed=3)[0].clips)


def test_only_clips_that_are_used_are_read(pairs, monkeypatch):
    reads = []
    read = pairs.reader.clips.read
    monkeypatch.setattr(pairs.reader.clips, "read", lambda row, numbers: reads.append(row) or read(row, numbers))
    counts = []
    for epoch in range(400):
        reads.clear()
        pairs._sample(epoch, 4)
        counts.append(len(reads))
    assert set(counts) == {1, 2}
    assert np.mean(counts) == pytest.approx(1.5, abs=0.08)  # half of the samples are one clip


@pytest.mark.parametrize("workers", [1, 2])
def test_processes_make_the_same_batches_from_any_step_on(pairs, workers):
    expected = [pairs[step] for step in range(5)]
    for first in (0, 3):
        with Loader(pairs, 5, workers, CPU) as loader:
            assert all(same(loader[step], expected[step]) for step in range(first, 5))
        assert loader.waited > 0


def test_steps_may_be_asked_out_of_order(pairs):
    with Loader(pairs, 5, 0, CPU) as loader:
        assert all(same(loader[step], pairs[step]) for step in (2, 3, 0, 4, 4))


@pytest.mark.parametrize("workers", [0, 1])
def test_the_global_generator_is_left_to_the_training(pairs, workers):
    torch.manual_seed(0)
    expected = torch.rand(3)
    torch.manual_seed(0)
    with Loader(pairs, 2, workers, CPU) as loader:
        loader[0]
    assert torch.equal(torch.rand(3), expected)


class Gone:
    def __getitem__(self, step):
        raise UserError("a.mp4 has gone")


@pytest.mark.parametrize("workers", [0, 1])
def test_a_users_mistake_comes_without_a_traceback(workers):
    with Loader(Gone(), 2, workers, CPU) as loader:
        with pytest.raises(UserError) as caught:
            loader[0]
    assert str(caught.value) == "a.mp4 has gone"


@pytest.mark.parametrize("device, cores, workers", [("cuda", 4, 4), ("cuda", 64, 8), ("cpu", 2, 0), ("cpu", 16, 1)])
def test_how_many_processes(monkeypatch, device, cores, workers):
    monkeypatch.setattr(loader_module, "cores", lambda: cores)
    assert default_workers(torch.device(device)) == workers
