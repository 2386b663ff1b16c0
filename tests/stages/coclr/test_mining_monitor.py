"""What a half-cycle reports of its mining, on steps made by hand."""

from __future__ import annotations

import pytest
import torch

from stages.coclr.mining import Mined
from stages.coclr.monitor import MiningMonitor, Step, at_chance, own_key_rank, recurrences
from stages.nn.queue import DualQueue


class Told:
    """A context that keeps what it is told."""

    device = torch.device("cpu")

    def __init__(self) -> None:
        self.rows: dict[int, dict[str, float]] = {}
        self.warnings: list[str] = []

    def log(self, step, **metrics) -> None:
        self.rows.setdefault(step, {}).update(metrics)

    def warn(self, message) -> None:
        self.warnings.append(message)


def queue(labels: list[int], videos: list[int] | None = None, size: int | None = None) -> DualQueue:
    n = len(labels)
    made = DualQueue(size or n, 2, 2)
    videos = torch.tensor(videos or list(range(10, 10 + n)))
    made.put(torch.zeros(n, 2), torch.zeros(n, 2), torch.arange(n), torch.tensor(labels), videos)
    return made


def step(size: int, slots: list[list[int]], labels: list[int], rows: list[int], loss: float = 2.0, **changes) -> Step:
    """A step whose queries mined ``slots`` (-1: nothing) of a queue with ``size`` slots."""
    n, mined = len(slots), torch.tensor(slots)
    values = {
        "loss": torch.tensor(loss),
        "cosines": torch.zeros(n, 1 + size),
        "valid": torch.ones(n, 1 + size, dtype=torch.bool),
        "dropped": torch.zeros(n, dtype=torch.bool),
        "mined": Mined(mined.clamp(min=0), mined >= 0, torch.full(mined.shape, 0.5)),
        "candidates": torch.ones(n, size, dtype=torch.bool),
        "siblings": torch.zeros(n, size, dtype=torch.bool),
        "rows": torch.tensor(rows),
        "labels": torch.tensor(labels),
    }
    return Step(**(values | changes))


def test_an_epoch_by_hand():
    told = Told()
    monitor, q = MiningMonitor(told, 2, videos=20, k=2), queue([0, 0, 1, 2])
    cosines = torch.tensor([[0.5, 0.9, 0.1, 0.7, 0.2], [0.5, 0.1, 0.1, 0.4, 0.3]])
    one = step(
        4,
        [[0, 2], [2, -1]],
        labels=[0, 1],
        rows=[3, 4],
        loss=2.0,
        cosines=cosines,
        dropped=torch.tensor([True, False]),
        candidates=torch.tensor([[1, 1, 1, 0], [0, 1, 1, 1]], dtype=torch.bool),
        siblings=torch.tensor([[0, 0, 0, 1], [1, 0, 0, 0]], dtype=torch.bool),
    )
    two = step(4, [[-1, -1], [-1, -1]], labels=[0, 1], rows=[5, 6], loss=4.0)
    assert monitor.after(0, one, q) is None and told.rows == {}
    assert monitor.after(1, two, q) == pytest.approx(3.0)
    assert told.rows[2] == monitor.metrics == pytest.approx(
        {
            "epoch_loss": 3.0,
            "own_key_rank": (3 + 1 + 1 + 1) / 4,
            "own_dropped": 1 / 4,
            "siblings": 2 / 4,
            "mining_precision": 2 / 3,  # slots 0 and 2 of three have the class of their query
            "mining_chance": (2 / 3 + 1 / 3) / 2,
            "mined_similarity": (0.9 + 0.7 + 0.4) / 3,
            "mined_similarity_other": 0.5,
        }
    )
    assert [monitor.mined[row].tolist() for row in (3, 4, 7)] == [[10, 12], [12, -1], [-1, -1]]


def test_what_is_mined_again_of_what_could_be():
    told = Told()
    monitor = MiningMonitor(told, 1, videos=20, k=2)
    monitor.after(0, step(4, [[0, 1], [2, -1]], labels=[0, 0], rows=[3, 4]), queue([0] * 4, [10, 11, 12, 13]))
    # in the second epoch 11 has left the queue; the first video mines 10 again, the other one misses 12
    later = queue([0] * 4, [10, 12, 13, 14])
    monitor.after(1, step(4, [[3, 0], [2, 3]], labels=[0, 0], rows=[3, 4]), later)
    assert "mining_overlap" not in told.rows[1] and told.rows[2]["mining_overlap"] == 1 / 2
    assert monitor.mined[3].tolist() == [14, 10]


def test_recurrences_by_hand():
    before = torch.tensor([[1, 2, -1], [3, 4, 5]])
    now = torch.tensor([[2, -1, -1], [5, 3, 9]])
    known, again = recurrences(before, now, torch.tensor([2, 3, 9, -1, 1]), 10)
    assert known.tolist() == [[True, True, False], [True, False, False]]
    assert again.tolist() == [[False, True, False], [True, False, False]]


def test_rank_of_the_own_key_counts_what_is_nearer_and_there():
    cosines = torch.tensor([[0.5, 0.9, 0.6, 0.5], [0.9, 0.1, 0.2, 0.95]])
    valid = torch.tensor([[True, True, True, True], [True, True, True, False]])
    assert own_key_rank(cosines, valid).tolist() == [3, 1]


def test_nothing_mined_leaves_its_values_out():
    told = Told()
    none = Mined(torch.zeros(1, 0, dtype=torch.int64), torch.zeros(1, 0, dtype=torch.bool), torch.zeros(1, 0))
    MiningMonitor(told, 1, videos=20, k=0).after(0, step(2, [[0]], [0], [3], mined=none), queue([0, 1]))
    assert set(told.rows[1]) == {"epoch_loss", "own_key_rank", "own_dropped", "siblings"} and told.warnings == []


def test_each_epoch_counts_anew():
    told = Told()
    monitor, q = MiningMonitor(told, 1, videos=20, k=1), queue([0, 1])
    for number, slot in enumerate((0, 1)):
        monitor.after(number, step(2, [[slot]], labels=[0], rows=[3], loss=1.0 + number), q)
    assert [told.rows[s]["mining_precision"] for s in (1, 2)] == [1, 0]
    assert [told.rows[s]["epoch_loss"] for s in (1, 2)] == [1, 2]


def test_its_state_goes_on(tmp_path):
    told, again = Told(), Told()
    whole, q = MiningMonitor(told, 2, videos=20, k=1), queue([0, 1, 1], size=4)
    resumed = MiningMonitor(again, 2, videos=20, k=1)
    for number in range(3):
        whole.after(number, step(4, [[number]], labels=[1], rows=[number], loss=0.01), q)
    torch.save(whole.state_dict(), tmp_path / "monitor.pt")
    resumed.load_state_dict(torch.load(tmp_path / "monitor.pt", weights_only=True))
    for monitor in (whole, resumed):
        for number in (3, 4, 5):
            monitor.after(number, step(4, [[0]], labels=[1], rows=[number - 3]), queue([1] * 4))
    assert again.rows == {s: told.rows[s] for s in (4, 6)}
    assert torch.equal(whole.mined, resumed.mined) and torch.equal(whole.similarity, resumed.similarity)
    assert whole.metrics == resumed.metrics
    assert len(told.warnings) == len(again.warnings)


def test_losses_against_a_part_of_the_queue_are_not_compared():
    told = Told()
    monitor = MiningMonitor(told, 2, videos=20, k=1)
    losses = []
    for number, size in enumerate((4, 2, 2, 2)):  # the first step finds two of four slots filled
        losses.append(monitor.after(number, step(size, [[0]], [0], [3], loss=0.01), queue([0, 1], size=size)))
    assert losses == [None, None, None, pytest.approx(0.01)]
    assert len(told.warnings) == 1  # near zero, said of the second epoch


@pytest.mark.parametrize("loss, said", [(0.05, 1), (0.2, 0)])
def test_a_loss_near_zero_at_the_start_is_said_once(loss, said):
    told = Told()
    monitor, q = MiningMonitor(told, 1, videos=20, k=1), queue([0, 1])
    for number in range(3):
        monitor.after(number, step(2, [[0]], [0], [3], loss=loss), q)
    assert len(told.warnings) == said and all("own_positive: {kind: drop}" in w for w in told.warnings)


def test_a_loss_that_falls_to_zero_later_is_no_warning():
    told = Told()
    monitor, q = MiningMonitor(told, 1, videos=20, k=1), queue([0, 1])
    for number, loss in enumerate((1.0, 0.01)):
        monitor.after(number, step(2, [[0]], [0], [3], loss=loss), q)
    assert told.warnings == []


def test_mining_at_chance_is_said_once():
    told = Told()
    monitor, q = MiningMonitor(told, 1, videos=200, k=1), queue([0, 1])
    for number in range(2):
        slots = [[i % 2] for i in range(100)]
        monitor.after(number, step(2, slots, [0] * 100, list(range(100))), q)
    assert len(told.warnings) == 1 and "only 50.0% of the mined positives" in told.warnings[0]
    assert "by chance (50.0%)" in told.warnings[0]


@pytest.mark.parametrize("precision, expected", [(0.1, True), (0.25, True), (0.33, True), (0.34, False), (1.0, False)])
def test_chance_has_an_error(precision, expected):
    # two standard errors of 100 draws at a quarter: 2 sqrt(0.25 * 0.75 / 100) = 0.087
    assert at_chance({"mining_precision": precision, "mining_chance": 0.25}, 100) == expected


@pytest.mark.parametrize("chance, queries", [(1.0, 10_000), (0.5, 9), (0.01, 400)])
def test_one_class_or_few_queries_tell_nothing(chance, queries):
    assert not at_chance({"mining_precision": chance, "mining_chance": chance}, queries)
