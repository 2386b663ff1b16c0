"""The lofi stage as a whole, on short videos that exist in memory."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
import torch

from engine.errors import UserError
from engine.run.checkpoint import Checkpoints
from engine.run.local import Local
from stages.lofi import stage
from stages.lofi.spec import Config, Constant, LofiSchedule, Long, Short
from stages.lofi.stage import run
from stages.nn.encoders import build_encoder
from stages.nn.frozen_norm import batch_norms
from stages.nn.spec import Card, Narrow
from stages.nn.weights import load_encoder, save_encoder
from stages.snippets.spec import Snippets
from stages.tal.annotations import Annotations, Instance
from stages.tal.head_spec import Head
from stages.video.spec import Clip, Rgb
from tests.stages.dying import Dying, Killed

NARROW = Narrow(kind="narrow", width=4)
FRAMES = 24


def config(**changes) -> Config:
    values = {
        "view_name": "rgb",
        "view": Rgb(),
        "encoder": NARROW,
        "snippets": Snippets(count=8, frames=2, stride=1, size=16),
        "head": Head(channels=64, align_bins=4, context_bins=2),
        "schedule": LofiSchedule(epochs=3, batch=3, lr=0.01),
        "precision": "fp32",
    }
    return Config(**(values | changes))


def outputs(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def points(folder: Path) -> list[dict[str, str]]:
    with (folder / "curves.csv").open() as file:
        return list(csv.DictReader(file))


def weights(folder: Path) -> dict[str, torch.Tensor]:
    return load_encoder(folder)[0].body.state_dict()


@pytest.fixture(autouse=True)
def only_training(request, monkeypatch):
    """Drawing and forecasts take longer than these trainings; one test each does them."""
    if "files" not in request.node.name:
        monkeypatch.setattr(stage, "curve_picture", lambda *_: np.zeros((1, 1, 3), np.uint8))
        monkeypatch.setattr(stage, "encoder_shares", lambda *_: {})
        if "memory" not in request.node.name:
            monkeypatch.setattr(stage, "announce_memory", lambda *_: {})


@pytest.fixture
def train(make_clips, make_context, tmp_path):
    """Train on videos of 8 s. From 1 to 4 s something happens, but in those of ``empty``. Returns metrics."""
    init = tmp_path / "init"
    init.mkdir()
    card = Card(encoder=NARROW, view_name="rgb", view=Rgb(), clip=Clip(frames=2, size=16), stage="demo.acp.s0")
    save_encoder(init, build_encoder(NARROW, 3, seed=5), card)

    def training(
        out: str = "out",
        videos: int = 7,
        empty: tuple[int, ...] = (),
        started: bool = True,
        checkpoints=None,
        workers: int = 0,
        **changes,
    ) -> dict:
        clips = make_clips([(n % 2, "train") for n in range(videos)] + [(0, "test")], frames=FRAMES)
        annotated = tmp_path / "annotated"
        annotated.mkdir(exist_ok=True)
        instances = {path: () if n in empty else (Instance(1.0, 4.0, n % 2),) for n, path in enumerate(clips.paths)}
        Annotations(
            ("left", "right"), instances, dict.fromkeys(instances, 8.0), dict.fromkeys(instances, "annotation")
        ).write(annotated)
        inputs = {"annotations": annotated} | ({"init": init} if started else {})
        local = Local(device="cpu", workers=workers)
        context = make_context("demo.lofi.s0", out=out, checkpoints=checkpoints, local=local, **inputs)
        metrics = run(config(**changes), context)
        context.write_curves()
        return metrics

    return training


def test_files_metrics_and_what_was_seen(train, tmp_path):
    metrics = train(empty=(2,))
    assert set(outputs(tmp_path / "out")) == {"encoder.safetensors", "curves.csv", "pictures/curves.png"}
    encoder, card = load_encoder(tmp_path / "out")
    assert (card.stage, card.clip.frames, card.clip.size) == ("demo.lofi.s0", 2, 16)
    assert (metrics["videos"], metrics["steps"]) == (6, 6)
    rows = points(tmp_path / "out")
    assert [(int(float(r["snippets"])), int(float(r["side"]))) for r in rows] == [(8, 8)] * 2 + [(2, 16)] * 2 + [
        (4, 11)
    ] * 2
    assert [float(r["learning_rate"]) for r in rows] == [0.01] * 6
    assert all(0.2 < metrics[f"activations_{name}"] < 0.3 for name in ("S", "T"))
    assert any(
        not torch.equal(new, old)
        for new, old in zip(encoder.body.state_dict().values(), weights(tmp_path / "init").values())
    )


def test_kills_and_loader_processes_change_no_bit(train, tmp_path):
    changes = {
        "cycle": Short(kind="short", period=1),
        "micro_batch": 2,
        "schedule": LofiSchedule(epochs=3, batch=3, lr=0.01, momentum=0.5),
    }
    expected = train("plain", **changes)
    plain = outputs(tmp_path / "plain")
    assert train("workers", workers=2, **changes) == expected
    assert outputs(tmp_path / "workers") == plain
    for at in (3, 5):
        with pytest.raises(Killed):
            train(f"dead{at}", checkpoints=Dying(tmp_path / "saved", 2, at), **changes)
    torch.rand(7)  # whatever else the process drew
    assert train("again", checkpoints=Checkpoints(tmp_path / "saved", 2), **changes) == expected
    assert outputs(tmp_path / "again") == plain


@pytest.mark.parametrize(
    "changes", [{"micro_batch": 1}, {"micro_batch": 2}, {"chunk": 3}, {"micro_batch": 2, "chunk": 5}]
)
def test_parts_and_chunks_train_the_same_network(train, tmp_path, changes):
    once = LofiSchedule(epochs=1, batch=3, lr=0.01)
    alike = {"schedule": once, "encoder_lr": 10.0, "cycle": Constant(kind="constant", fidelity="full")}
    whole = train("whole", videos=3, **alike)  # one step: another would build on how floats were rounded in it
    parts = train("parts", videos=3, **alike, **changes)
    assert parts["loss"] == pytest.approx(whole["loss"], rel=1e-5)
    before, after = weights(tmp_path / "init"), weights(tmp_path / "whole")
    for name, value in weights(tmp_path / "parts").items():
        torch.testing.assert_close(value, after[name], rtol=1e-3, atol=5e-5)
        if value.ndim == 5:
            assert (after[name] - before[name]).abs().max() > 1e-3  # what is compared has been trained


def test_frozen_statistics_stay_as_they_came(train, tmp_path):
    train("frozen", cycle=Long(kind="long", order=("T", "S")))
    train("free", frozen_norm=False)
    for name, _ in batch_norms(load_encoder(tmp_path / "init")[0].body):
        key = f"{name}.running_mean"
        assert torch.equal(weights(tmp_path / "frozen")[key], weights(tmp_path / "init")[key])
        assert not torch.equal(weights(tmp_path / "free")[key], weights(tmp_path / "init")[key])


def test_rates_of_encoder_and_head(train, tmp_path):
    train(encoder_lr=0.002, schedule=LofiSchedule(epochs=2, batch=3, lr=0.01, every=1))
    assert [float(r["encoder_learning_rate"]) for r in points(tmp_path / "out")] == [0.002] * 2 + [0.001] * 2
    assert [float(r["learning_rate"]) for r in points(tmp_path / "out")] == [0.01] * 2 + [0.005] * 2


def test_a_batch_without_a_good_cell_has_a_finite_loss(train):
    # One video of two snippets: what happens from 1/8 to 1/2 has an IoU of 0.75 with the cell of the first half
    metrics = train(
        videos=1,
        schedule=LofiSchedule(epochs=2, batch=1),
        cycle=Constant(kind="constant", fidelity="T"),
        gradient_norm=1.0,
    )
    assert np.isfinite(metrics["loss"]) and metrics["steps"] == 2


def test_random_weights_can_be_the_start(train):
    assert train(started=False, frozen_norm=False, augment="none")["steps"] == 6


def test_nothing_annotated(train):
    with pytest.raises(UserError, match="none of the 7 videos of split 'train' has an annotated segment"):
        train(empty=range(8))


def test_the_first_line_predicts_memory(train, monkeypatch):
    from engine.run.context import Context

    said = []
    monkeypatch.setattr(Context, "say", lambda self, message: said.append(message))
    train(micro_batch=2, chunk=4)
    assert said[0].startswith(
        "predicted memory with 2 of 3 videos at a time, 4 snippets encoded at a time: S (8 x 8 x 8) "
    )
    assert "; T (2 x 16 x 16) " in said[0] and "; ST (4 x 11 x 11) " in said[0]
