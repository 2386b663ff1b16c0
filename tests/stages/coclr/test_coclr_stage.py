"""A half-cycle as a whole, on videos that exist in memory."""

from __future__ import annotations

import csv
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from engine.errors import UserError
from engine.run.checkpoint import Checkpoints
from engine.run.local import Local
from stages.coclr import pictures, stage
from stages.coclr.spec import Config, Drop, HalfCycle, Keep
from stages.coclr.stage import run
from stages.nn.encoders import build_encoder
from stages.nn.head import Projection
from stages.nn.spec import Card, Narrow
from stages.nn.weights import load_encoder, save_encoder, save_head
from stages.video.flow_spec import Flow
from stages.video.spec import Clip, Difference, Rgb
from stages.video.transforms import evaluation_clip, normalise
from tests.stages.dying import Dying, Killed

VIDEOS = [(row % 3, "train") for row in range(14)] + [(0, "test")] * 3
NETWORK = Narrow(kind="narrow", width=4)
CLIP = Clip(frames=4, size=16)


def config(**changes) -> Config:
    values = {
        "view_name": "rgb",
        "view": Rgb(),
        "other_name": "difference",
        "other": Difference(),
        "clip": CLIP,
        "encoder": NETWORK,
        "schedule": HalfCycle(epochs=4, batch=4),
        "dim": 8,
        "queue": 10,
        "topk": 2,
        "precision": "fp32",
    }
    return Config(**(values | changes))


def outputs(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


@pytest.fixture(autouse=True)
def plain_pictures(request, monkeypatch):
    """Drawing takes longer than these trainings; one test does it."""
    if "pictures" not in request.node.name:
        blank = np.zeros((1, 1, 3), np.uint8)
        monkeypatch.setattr(stage, "curve_picture", lambda points, panels: blank)
        monkeypatch.setattr(pictures, "neighbours_picture", lambda *arguments, **named: blank)


def start(folder: Path, view, seed: int, head: bool = True) -> Path:
    """What an earlier training left in ``folder``."""
    encoder = build_encoder(NETWORK, view.channels, seed)
    save_encoder(folder, encoder, Card(encoder=NETWORK, view_name="x", view=view, clip=CLIP, stage="demo.x.s0"))
    if head:
        save_head(folder, Projection(encoder.features, 8, seed))
    return folder


@pytest.fixture
def half_cycle(make_clips, make_context, tmp_path):
    """Run a half-cycle into ``tmp_path/<out>``; returns its metrics. RGB starts from seed 1, mined for by seed 2."""
    folders = {"init": start(tmp_path / "rgb", Rgb(), 1), "miner": start(tmp_path / "difference", Difference(), 2)}

    def train(out: str = "out", local: Local | None = None, checkpoints=None, groups=None, labels=None, **changes):
        clips = make_clips(VIDEOS, groups=groups)
        if labels is not None:  # which the pictures must not show
            clips.read = replace(clips, targets=clips.targets.copy()).read
            clips.targets[:] = labels
        changed = {role: changes.pop(role) for role in ("init", "miner") if role in changes}
        context = make_context("demo.m.c1.rgb.s0", out, checkpoints, local, **(folders | changed))
        metrics = run(config(**changes), context)
        context.write_curves()
        return metrics

    return train


def curves(folder: Path) -> dict[int, dict[str, float]]:
    with (folder / "curves.csv").open() as file:
        return {int(row.pop("step")): {k: float(v) for k, v in row.items() if v} for row in csv.DictReader(file)}


def test_it_writes_an_encoder_a_head_curves_and_pictures(half_cycle, tmp_path):
    metrics = half_cycle()
    encoder, card = load_encoder(tmp_path / "out")
    assert (card.view_name, card.stage, card.view.kind) == ("rgb", "demo.m.c1.rgb.s0", "rgb")
    assert set(load_file(tmp_path / "out" / "head.safetensors")) == {"0.weight", "0.bias", "2.weight", "2.bias"}
    drawn = {p.name for p in (tmp_path / "out" / "pictures").iterdir()}
    assert drawn == {"views.png", "mining_view.png", "curves.png", "mined.png"}
    # 14 videos are three steps an epoch; 10 keys are there after three batches of 4
    assert (metrics["videos"], metrics["steps"], metrics["waited_steps"]) == (14, 12, 3)
    assert metrics["queue_fill"] == 1.0

    points = curves(tmp_path / "out")
    assert min(points) == 4  # nothing is learnt, and nothing told, before the queue is full
    assert [s for s, values in points.items() if "mining_precision" in values] == [6, 9, 12]  # each epoch with training
    assert [s for s, values in points.items() if "mining_overlap" in values] == [9, 12]
    assert 0 <= metrics["mining_precision"] <= 1 and points[12]["mining_precision"] == metrics["mining_precision"]


ELSE = {"fill": "train", "hand_on": "lowest_loss", "own_positive": Drop(per="sample")}


@pytest.mark.parametrize("died_at", [2, 4, 8])
@pytest.mark.parametrize("changes", [{}, ELSE], ids=["defaults", "else"])
def test_a_killed_training_goes_on_to_the_same_bits(half_cycle, tmp_path, died_at, changes):
    whole = half_cycle("whole", **changes)
    with pytest.raises(Killed):
        half_cycle("first", checkpoints=Dying(tmp_path / "saved", every=2, at=died_at + 1), **changes)
    torch.rand(7)  # whatever else the process drew
    resumed = half_cycle("resumed", checkpoints=Checkpoints(tmp_path / "saved", every=2), **changes)
    assert resumed == whole
    assert outputs(tmp_path / "resumed") == outputs(tmp_path / "whole")


def test_loader_processes_do_not_change_a_bit(half_cycle, tmp_path):
    for workers in (0, 2):
        half_cycle(f"w{workers}", local=Local(device="cpu", workers=workers))
    assert outputs(tmp_path / "w0") == outputs(tmp_path / "w2")


STILL = {"schedule": HalfCycle(epochs=1, batch=4, lr=1e-30, weight_decay=0.0), "queue": 5}


def weights(folder: Path, file: str) -> dict[str, torch.Tensor]:
    tensors = load_file(folder / file)
    return {name: t for name, t in tensors.items() if "running_" not in name and "num_batches" not in name}


@pytest.mark.parametrize("file", ["encoder.safetensors", "head.safetensors"])
def test_it_goes_on_from_the_start_with_its_head(half_cycle, tmp_path, file):
    # With a learning rate this small nothing moves, so what comes out is what was started from.
    half_cycle(**STILL)
    after = weights(tmp_path / "out", file)
    before = weights(tmp_path / "rgb", file)
    assert all(torch.allclose(after[name], tensor, rtol=0, atol=1e-20) for name, tensor in before.items())
    half_cycle("trained", momentum=1.0)  # so that the slow copy, which is not what is saved, stays where it was
    assert any(not torch.equal(weights(tmp_path / "trained", file)[name], tensor) for name, tensor in after.items())


def test_the_miner_is_not_changed(half_cycle, tmp_path):
    before = outputs(tmp_path / "difference")
    half_cycle()
    assert outputs(tmp_path / "difference") == before


def test_it_is_the_other_view_that_mines(half_cycle, tmp_path):
    """Another network for the other view finds other positives, and so another network comes out."""
    one = half_cycle("one")
    two = half_cycle("two", miner=start(tmp_path / "else", Difference(), 3))
    assert one["mined_similarity_other"] != two["mined_similarity_other"]
    assert outputs(tmp_path / "one")["encoder.safetensors"] != outputs(tmp_path / "two")["encoder.safetensors"]


def test_with_nothing_mined_the_miner_does_not_matter(half_cycle, tmp_path):
    half_cycle("one", topk=0)
    half_cycle("two", topk=0, miner=start(tmp_path / "else", Difference(), 3))
    for file in ("encoder.safetensors", "curves.csv"):
        assert outputs(tmp_path / "one")[file] == outputs(tmp_path / "two")[file]


def test_both_roles_are_one_code(half_cycle, tmp_path):
    metrics = half_cycle(
        view_name="difference", view=Difference(), other_name="rgb", other=Rgb(),
        init=tmp_path / "difference", miner=tmp_path / "rgb",
    )  # fmt: skip
    assert load_encoder(tmp_path / "out")[1].view_name == "difference"
    assert 0 <= metrics["mining_precision"] <= 1


def test_labels_are_for_reports_only(half_cycle, tmp_path):
    one = half_cycle("one", labels=[row % 3 for row in range(17)])
    two = half_cycle("two", labels=[row // 6 for row in range(17)])
    assert outputs(tmp_path / "one")["encoder.safetensors"] == outputs(tmp_path / "two")["encoder.safetensors"]
    assert one["mining_precision"] != two["mining_precision"]


@pytest.mark.parametrize(
    "changes",
    [
        {"own_positive": Keep(kind="keep")},
        {"own_positive": Drop(per="sample")},
        {"own_positive": Drop(becomes="ignored")},
        {"same_source": "negative"},
        {"same_source": "ignore"},
        {"topk": 4},
        {"fill": "train"},
        {"shuffle_bn": "none"},
    ],
    ids=lambda changes: "-".join(f"{k}" for k in changes),
)
def test_each_choice_changes_what_is_learnt(half_cycle, tmp_path, changes):
    groups = [row // 2 for row in range(17)]
    half_cycle("plain", groups=groups)
    half_cycle("other", groups=groups, **changes)
    plain, other = (load_file(tmp_path / out / "encoder.safetensors") for out in ("plain", "other"))
    assert any(not torch.equal(plain[name], other[name]) for name in plain)
    assert all(torch.isfinite(t).all() for t in other.values())


def test_the_epoch_of_the_lowest_loss_is_handed_on(half_cycle, tmp_path, monkeypatch):
    losses = {5: 2.0, 8: 1.0, 11: 3.0}  # as if, at the last step of each epoch with training
    monkeypatch.setattr(stage.MiningMonitor, "after", lambda self, step, now, queue: losses.get(step))
    for rule in ("last", "lowest_loss"):
        half_cycle(rule, hand_on=rule)
    # BatchNorm counts its batches: two halves in each step. Nine steps trained, six of them by the second loss.
    count = "0.1.num_batches_tracked"
    ends = [int(load_file(tmp_path / rule / "encoder.safetensors")[count]) for rule in ("last", "lowest_loss")]
    assert ends == [2 * 9, 2 * 6]

    with pytest.raises(Killed):
        half_cycle("first", hand_on="lowest_loss", checkpoints=Dying(tmp_path / "saved", every=5, at=11))
    half_cycle("resumed", hand_on="lowest_loss", checkpoints=Checkpoints(tmp_path / "saved", every=5))
    assert outputs(tmp_path / "resumed") == outputs(tmp_path / "lowest_loss")


def test_an_own_key_that_is_always_or_never_dropped(half_cycle):
    shares = [half_cycle(f"p{p}", own_positive=Drop(probability=p))["own_dropped"] for p in (0.0, 1.0)]
    assert shares == [0.0, 1.0]


@pytest.mark.parametrize("becomes", ["negative", "ignored"])
def test_curves_count_an_own_key_as_one_even_when_it_is_dropped(half_cycle, becomes):
    kept = half_cycle("kept", own_positive=Keep(kind="keep"), **STILL)
    dropped = half_cycle("dropped", own_positive=Drop(probability=1.0, becomes=becomes), **STILL)
    assert dropped["loss"] != kept["loss"]
    for name in ("positive_similarity", "negative_similarity", "own_key_top1", "own_key_rank"):
        assert dropped[name] == kept[name]


def test_training_at_once_mines_from_what_is_there(half_cycle, tmp_path):
    metrics = half_cycle(fill="train")
    assert metrics["waited_steps"] == 1
    assert min(curves(tmp_path / "out")) == 2  # an empty queue has nothing to mine


def test_siblings_are_never_mined(half_cycle):
    """All videos come from one source, so there is nothing to mine."""
    metrics = half_cycle(groups=[0] * 17)
    assert "mining_precision" not in metrics and metrics["siblings"] == 10


def test_a_queue_that_never_fills_is_explained(half_cycle):
    with pytest.raises(UserError, match="48 keys is full after 12 batches of 4, but the half-cycle has only 12"):
        half_cycle(queue=48)


def test_a_miner_without_a_head_compares_its_features(half_cycle, tmp_path):
    metrics = half_cycle(miner=start(tmp_path / "bare", Difference(), 2, head=False))
    assert 0 <= metrics["mining_precision"] <= 1


def test_a_miner_of_another_view_is_refused(half_cycle, tmp_path):
    with pytest.raises(UserError, match="its encoder takes 2 channels, but view 'difference' has 3"):
        half_cycle(miner=start(tmp_path / "flow", Flow(kind="flow"), 2))


def striped(row: int, numbers: np.ndarray) -> np.ndarray:
    """Upright stripes, lying ones or none, by class, on a plain colour of the video's own."""
    upright = np.tile(np.arange(24) // 3 % 2, (24, 1))
    stripes = (upright, upright.T, np.zeros_like(upright))[row % 3]
    colour = np.random.default_rng(row).integers(20, 150, 3)
    return np.broadcast_to((colour + 100 * stripes[..., None]).astype(np.uint8), (len(numbers), 24, 24, 3))


class Moving:
    """Stands in for stored flow: down, up or not at all, by class."""

    def read(self, row: int, numbers: np.ndarray) -> np.ndarray:
        return np.broadcast_to(np.uint8([128, (255, 1, 128)[row % 3]]), (len(numbers), 24, 24, 2))


class Watcher(torch.nn.Module):
    """A miner that needs no training: it tells where things move, up and down being opposites."""

    width = 2

    def forward(self, clips: torch.Tensor) -> torch.Tensor:
        down = clips[:, 1].mean((1, 2, 3)).clamp(-1, 1)
        return torch.stack([down, 1 - down.abs()], dim=1)


def separation(folder: Path, clips) -> float:
    """How much nearer features of one class are to each other than to those of others, as cosines about their mean."""
    encoder, _ = load_encoder(folder)
    pictures = torch.stack([evaluation_clip(clips.read(row, np.arange(2)), 16) for row in clips.split("train")])
    with torch.no_grad():
        features = encoder(normalise(pictures, Rgb()))
    unit = torch.nn.functional.normalize(features - features.mean(0), dim=1)
    alike = torch.from_numpy(clips.targets[:, None] == clips.targets)
    cosines = unit @ unit.T
    return float(cosines[alike & ~torch.eye(len(unit), dtype=torch.bool)].mean() - cosines[~alike].mean())


def test_what_flow_tells_is_taught_to_rgb_without_labels(make_clips, make_context, tmp_path, monkeypatch):
    clips = make_clips([(row % 3, "train") for row in range(36)])
    clips.read = striped
    monkeypatch.setattr("stages.video.flows.Flows.open", lambda folder, clips, context: Moving())
    monkeypatch.setattr(stage, "load_miner", lambda folder, view, dim, context: Watcher())
    inputs = {"init": start(tmp_path / "begin", Rgb(), 1), "miner": tmp_path, "flow": tmp_path}
    changes = {
        "other_name": "flow", "other": Flow(kind="flow"), "clip": Clip(frames=2, size=16), "queue": 24, "momentum": 0.9,
        "own_positive": Keep(kind="keep"), "schedule": HalfCycle(epochs=20, batch=12, lr=1e-2), "temperature": 0.2,
    }  # fmt: skip
    taught = run(config(topk=5, **changes), make_context(out="taught", **inputs))
    run(config(topk=0, **changes), make_context(out="alone", **inputs))
    assert taught["mining_precision"] > 0.9 and taught["mining_chance"] < 0.5
    assert taught["positive_similarity"] > taught["negative_similarity"] + 0.15
    assert separation(tmp_path / "taught", clips) > separation(tmp_path / "alone", clips) + 0.2
