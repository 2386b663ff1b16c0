"""The SGD probe on augmented clips: its heads, and the stage in that mode."""

from __future__ import annotations

import csv

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from engine.errors import UserError
from engine.run.checkpoint import Checkpoints
from engine.run.local import Local
from stages.classify.spec import HeldOut
from stages.features.frozen import load_frozen
from stages.features.spec import Look
from stages.linear_probe.augmented import classify, plan_tasks
from stages.linear_probe.heads import Head, Heads, Task
from stages.linear_probe.spec import Augmented, Config, Sgd
from stages.linear_probe.stage import run
from stages.nn.encoders import build_encoder
from stages.nn.spec import Card, Narrow
from stages.nn.weights import save_encoder
from stages.video.sampling import frame_numbers
from stages.video.spec import Clip, Rgb
from stages.video.transforms import evaluation_clip
from stages.video.views import ViewReader

CLIP = Clip(frames=2, size=16)


def encoders(folder) -> tuple:
    spec = Narrow(kind="narrow", width=4)
    folders = []
    for seed in (0, 1):
        folders.append(folder / f"random.s{seed}")
        folders[-1].mkdir()
        card = Card(encoder=spec, view_name="rgb", view=Rgb(), clip=CLIP, stage="demo.x")
        save_encoder(folders[-1], build_encoder(spec, 3, seed=seed), card)
    return tuple(folders)


def config(windows: int = 2, **sgd) -> Config:
    look = Look(clip=CLIP, windows=windows, precision="fp32")
    return Config(
        held_out=HeldOut(),
        augmented=Augmented(sgd=Sgd(**{"epochs": 2, "batch": 4} | sgd), look=look, seeds=(0, 5)),
    )


VIDEOS = [(c, "test" if i % 3 == 0 else "train") for i in range(6) for c in range(2)]


def heads(tasks: list[Task], momentum: float = 0.9) -> Heads:
    return Heads(tasks, 3, 2, [11, 12], momentum, torch.device("cpu"))


def test_head_by_hand() -> None:
    head = Head(2, 2).eval()
    with torch.no_grad():
        head.linear.weight.copy_(torch.eye(2))
        head.linear.bias.zero_()
    # length 5 -> (0.6, 0.8); batch norm at its start divides by sqrt(1 + 1e-5)
    assert head(torch.tensor([[3.0, 4.0]]))[0].tolist() == pytest.approx([0.6, 0.8], abs=1e-4)


def test_a_head_among_others_learns_as_if_alone() -> None:
    torch.manual_seed(0)
    features, labels = torch.randn(2, 8, 3), torch.tensor([0, 1] * 4)
    held = torch.tensor([True, False, False, False] * 2)
    tasks = [Task(0, 0.1, 1e-3, True), Task(0, 0.1, 1e-3, False), Task(1, 1.0, 0.0, True)]
    together = heads(tasks)
    for rate in (1.0, 1.0, 0.1):
        together.learn(features, labels, held, rate)

    for place, task in enumerate(tasks):
        alone = heads([task]).modules[0].train()
        optimizer = torch.optim.SGD(
            alone.parameters(), lr=task.lr, momentum=0.9, weight_decay=task.weight_decay
        )
        mine = slice(None) if task.whole else ~held
        for rate in (1.0, 1.0, 0.1):
            optimizer.param_groups[0]["lr"] = task.lr * rate
            optimizer.zero_grad()
            F.cross_entropy(alone(features[task.seed][mine]), labels[mine]).backward()
            optimizer.step()
        for name, value in alone.state_dict().items():
            assert torch.allclose(
                together.modules[place].state_dict()[name].double(), value.double(), atol=1e-6
            ), name


def test_heads_of_a_seed_start_alike_and_of_two_seeds_do_not() -> None:
    first, second, third = heads(
        [Task(0, 0.1, 0, True), Task(0, 1.0, 0, False), Task(1, 0.1, 0, True)]
    ).modules
    assert torch.equal(first.linear.weight, second.linear.weight)
    assert not torch.equal(first.linear.weight, third.linear.weight)


def test_a_head_without_two_samples_waits() -> None:
    both = heads([Task(0, 0.1, 1e-3, True), Task(0, 0.1, 1e-3, False)])
    before = both.modules[1].linear.weight.clone()
    both.learn(torch.randn(1, 4, 3), torch.tensor([0, 1, 0, 1]), torch.tensor([True, True, True, False]), 1.0)
    assert torch.equal(both.modules[1].linear.weight, before)
    assert not torch.equal(both.modules[0].linear.weight, before)


def test_loss_is_the_mean_since_it_was_read() -> None:
    one = heads([Task(0, 1e-9, 0, True)], momentum=0.0)
    features, labels = torch.randn(1, 4, 3), torch.tensor([0, 1, 0, 1])
    expected = F.cross_entropy(one.modules[0].train()(features[0]), labels).item()
    for _ in range(3):
        one.learn(features, labels, torch.zeros(4, dtype=torch.bool), 1.0)
    assert one.pop_loss() == pytest.approx(expected, rel=1e-5)


def test_tasks_by_hand() -> None:
    assert plan_tasks(Sgd(), 2, True) == [Task(0, 0.1, 1e-3, True), Task(1, 0.1, 1e-3, True)]
    two = Sgd(lr=(0.1, 1.0))
    assert plan_tasks(two, 1, True) == [
        Task(0, lr, 1e-3, whole) for lr in (0.1, 1.0) for whole in (True, False)
    ]
    assert plan_tasks(two, 1, False) == [Task(0, 0.1, 1e-3, True)]


def test_the_stage_learns_what_can_be_learnt(make_clips, make_context, tmp_path) -> None:
    # All videos of a class are the same video: even random features tell them apart.
    clips = make_clips(VIDEOS)
    original = type(clips).read
    type(clips).read = lambda self, row, numbers: original(self, int(self.targets[row]), numbers)
    try:
        context = make_context(models=encoders(tmp_path))
        found = run(config(epochs=24, batch=8, lr=(1e-4, 0.1)), context)
        context.write_curves()
    finally:
        type(clips).read = original
    assert found["seeds"] == {s: {"top1": 1.0, "mean_class": 1.0} for s in ("0", "5")}
    with (context.out / "held_out.csv").open() as file:
        trials = list(csv.DictReader(file))
    assert [(t["seed"], t["lr"]) for t in trials] == [(s, lr) for s in "05" for lr in ("0.0001", "0.1")]
    assert [t["chosen"] for t in trials] == ["0", "1", "0", "1"]
    with (context.out / "curves.csv").open() as file:
        losses = [float(row["loss"]) for row in csv.DictReader(file)]
    assert len(losses) == 24 and np.mean(losses[-6:]) < np.mean(losses[:6])


def test_kills_and_loader_processes_change_no_bit(make_clips, make_context, tmp_path) -> None:
    make_clips(VIDEOS)
    models = encoders(tmp_path)
    settings = config(lr=(0.1, 1.0))

    class Killed(Checkpoints):
        def after_step(self, done, total, state, context) -> None:
            super().after_step(done, total, state, context)
            if done == 3:
                raise KeyboardInterrupt

    def outputs(context, found):
        context.write_curves()
        return found, {p.name: p.read_bytes() for p in context.out.rglob("*") if p.is_file()}

    plain = make_context(out="plain", models=models)
    expected = outputs(plain, run(settings, plain))
    workers = make_context(out="workers", models=models, local=Local(device="cpu", workers=2))
    assert outputs(workers, run(settings, workers)) == expected
    with pytest.raises(KeyboardInterrupt):
        run(
            settings,
            make_context(out="killed", models=models, checkpoints=Killed(tmp_path / "saved", every=1)),
        )
    again = make_context(out="again", models=models, checkpoints=Checkpoints(tmp_path / "saved", every=1))
    assert outputs(again, run(settings, again)) == expected


def test_probabilities_are_averaged_over_windows(make_clips, make_context, tmp_path) -> None:
    clips = make_clips(VIDEOS, frames=[9] * 11 + [1])
    context = make_context(models=encoders(tmp_path))
    settings = config(windows=3).augmented
    frozen = load_frozen(context.inputs["models"], settings.look, context)
    some = Heads([Task(0, 0.1, 0, True), Task(1, 0.1, 0, True)], frozen.width, 4, [1, 2], 0.9, context.device)
    rows = np.array([2, 11])
    found = classify(some, [1], frozen, ViewReader(Rgb(), clips), rows, settings, context)
    assert found.shape == (1, 2, 4)

    head = some.modules[1].eval()
    for place, starts in enumerate(([0, 4, 7], [0])):
        frames = int(clips.frames[rows[place]])
        windows = [clips.read(int(rows[place]), frame_numbers(start, frames, CLIP)) for start in starts]
        pixels = torch.stack([evaluation_clip(window, 16) for window in windows])
        with torch.no_grad():
            expected = head(frozen(pixels)[1]).softmax(-1).mean(0).log()
        assert found[0, place] == pytest.approx(expected.numpy(), abs=1e-5)


def test_one_training_video_is_too_few(make_clips, make_context, tmp_path) -> None:
    make_clips([(0, "train"), (0, "test")])
    with pytest.raises(UserError, match="2 training videos"):
        run(config(), make_context(models=encoders(tmp_path)))


def test_too_few_videos_to_choose(make_clips, make_context, tmp_path, capsys) -> None:
    make_clips([(0, "train"), (1, "train"), (0, "test")])
    run(config(lr=(0.1, 1.0), batch=2), make_context(models=encoders(tmp_path)))
    assert "the first lr and the first weight_decay are taken" in capsys.readouterr().err
