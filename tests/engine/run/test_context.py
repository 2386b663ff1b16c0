"""What a stage may rely on: named randomness, curves, and steps that resume to the same bits."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest
import torch

from engine.run.checkpoint import Checkpoints, Stopped
from engine.run.context import Context
from engine.run.local import Local
from engine.track.record import Record, read_events


def make_context(folder: Path, checkpoints: Path | None = None, every: int = 3, seed: int = 0, name: str = "study.stage") -> Context:
    out = folder / "out"
    out.mkdir(parents=True, exist_ok=True)
    record = Record(folder / "record")
    return Context(name=name, seed=seed, inputs={}, out=out, local=Local(), record=record, checkpoints=Checkpoints(checkpoints, every))


def test_randomness_comes_from_names(tmp_path: Path) -> None:
    a, b = make_context(tmp_path), make_context(tmp_path)
    assert a.seed_for("x", 1, 2) == b.seed_for("x", 1, 2)
    assert len({a.seed_for(*names) for names in [("x", 1, 2), ("x", 12), ("x1", 2), ("x", 2, 1), ()]}) == 5
    assert a.seed_for("x") != make_context(tmp_path, seed=1).seed_for("x")
    assert a.seed_for("x") != make_context(tmp_path, name="study.other").seed_for("x")
    assert a.rng("x").integers(1 << 30) == b.rng("x").integers(1 << 30)
    assert torch.equal(torch.rand(3, generator=a.torch_rng("x")), torch.rand(3, generator=b.torch_rng("x")))
    assert 0 <= a.seed_for("x") < 2**63


class Training:
    """A network with dropout, Adam and a moving average: all that must survive an interruption."""

    def __init__(self) -> None:
        torch.manual_seed(7)
        self.net = torch.nn.Sequential(torch.nn.Linear(4, 8), torch.nn.Dropout(0.5), torch.nn.Linear(8, 1))
        self.optimiser = torch.optim.Adam(self.net.parameters(), lr=0.1)

    def run(self, context: Context, total: int, die_at: int | None = None) -> None:
        for step in context.steps(total, {"net": self.net, "optimiser": self.optimiser}):
            if step == die_at:
                raise KeyError("power cut")
            batch = torch.randn(16, 4, generator=context.torch_rng("batch", step))
            loss = (self.net(batch) - batch.sum(1, keepdim=True)).square().mean()
            self.optimiser.zero_grad()
            loss.backward()
            self.optimiser.step()
            context.log(step, loss=loss.item())
        context.write_curves()


@pytest.mark.parametrize("die_at", [0, 2, 3, 7, 9])
def test_an_interrupted_training_ends_with_the_same_bits(tmp_path: Path, die_at: int) -> None:
    undisturbed = Training()
    undisturbed.run(make_context(tmp_path / "a"), 10)

    checkpoints = tmp_path / "checkpoints"
    with pytest.raises(KeyError):
        Training().run(make_context(tmp_path / "b", checkpoints), 10, die_at)
    resumed = Training()
    context = make_context(tmp_path / "c", checkpoints)
    resumed.run(context, 10)

    for mine, theirs in zip(undisturbed.net.parameters(), resumed.net.parameters(), strict=True):
        assert torch.equal(mine, theirs)
    assert (tmp_path / "a/out/curves.csv").read_bytes() == (tmp_path / "c/out/curves.csv").read_bytes()
    said = [e["text"] for e in read_events(tmp_path / "c/record")[0] if e["event"] == "message"]
    assert (said != []) == (die_at >= 3)
    context.checkpoints.clear()
    assert not checkpoints.exists()


def test_a_damaged_checkpoint_is_passed_over(tmp_path: Path) -> None:
    checkpoints = tmp_path / "checkpoints"
    with pytest.raises(KeyError):
        Training().run(make_context(tmp_path / "b", checkpoints), 10, 8)
    newest = sorted(checkpoints.iterdir())[-1]
    newest.write_bytes(newest.read_bytes()[: newest.stat().st_size // 2])
    undisturbed, resumed = Training(), Training()
    undisturbed.run(make_context(tmp_path / "a"), 10)
    resumed.run(make_context(tmp_path / "c", checkpoints), 10)
    assert all(torch.equal(a, b) for a, b in zip(undisturbed.net.parameters(), resumed.net.parameters()))
    messages = [e for e in read_events(tmp_path / "c/record")[0] if e["event"] == "message"]
    assert messages[0]["level"] == "warning" and "cannot be read" in messages[0]["text"]


def test_at_most_two_checkpoints_are_kept(tmp_path: Path) -> None:
    with pytest.raises(KeyError):
        Training().run(make_context(tmp_path, tmp_path / "checkpoints", every=1), 10, 8)
    assert [p.name for p in sorted((tmp_path / "checkpoints").iterdir())] == ["step-000000007.pt", "step-000000008.pt"]


def test_a_request_to_stop_saves_the_step_that_is_done(tmp_path: Path) -> None:
    before = {s: signal.getsignal(s) for s in (signal.SIGTERM, signal.SIGINT)}
    context = make_context(tmp_path, tmp_path / "checkpoints", every=100)
    context.checkpoints.listen()
    training = Training()
    try:
        with pytest.raises(Stopped) as stopped:
            for step in context.steps(10, {"net": training.net}):
                if step == 4:
                    os.kill(os.getpid(), signal.SIGTERM)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    assert stopped.value.code == 128 + signal.SIGTERM
    assert [p.name for p in (tmp_path / "checkpoints").iterdir()] == ["step-000000005.pt"]


def test_curves_have_one_row_a_step(tmp_path: Path) -> None:
    context = make_context(tmp_path)
    context.log(0, loss=1.5)
    context.log(0, lr=0.1)
    context.log(2, loss=0.25)
    context.note(2, clips_per_second=12.0)  # differs from run to run: recorded, but no output
    context.write_curves()
    assert (context.out / "curves.csv").read_text() == "step,loss,lr\n0,1.5,0.1\n2,0.25,\n"
    assert sum(e["event"] == "log" for e in read_events(tmp_path / "record")[0]) == 4


def test_pictures_are_the_same_bytes_each_time(tmp_path: Path) -> None:
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt
    import numpy as np

    context = make_context(tmp_path)
    figure, axes = plt.subplots()
    axes.plot([1, 2], [3, 4])
    first = context.picture("line", figure).read_bytes()
    assert context.picture("line", figure).read_bytes() == first
    plt.close(figure)
    from PIL import Image

    square = np.arange(48, dtype=np.uint8).reshape(4, 4, 3)
    assert np.array_equal(np.asarray(Image.open(context.picture("square", square))), square)
    assert (tmp_path / "record/pictures/square.png").exists()
