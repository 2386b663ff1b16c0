"""The maskfeat stage as a whole, on videos that exist in memory."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from torch.nn import functional as F

from engine.errors import UserError
from engine.run.checkpoint import Checkpoints
from engine.run.local import Local
from stages.maskfeat import gallery, stage
from stages.maskfeat.network import Predictor, starting_encoder
from stages.maskfeat.spec import Config, MaskFeatSchedule, pretraining
from stages.maskfeat.stage import run
from stages.maskfeat.target_spec import CubeMask, FeatureTarget, FrameMask, HogTarget, PixelTarget, TubeMask
from stages.maskfeat.targets import Targets, mask_on_grid
from stages.nn.encoders import build_encoder
from stages.nn.spec import Card, MvitV2, Narrow, SmallMvit
from stages.nn.weights import load_encoder, save_encoder
from stages.video.spec import Clip, Rgb
from stages.video.transforms import normalise
from tests.stages.dying import Dying, Killed

SPEC = SmallMvit(kind="mvit_small", width=8, blocks=(1, 1), table_size=32)
CLIP = Clip(frames=4, size=32)
CUBE = CubeMask(cell=8)
VIDEOS = [(row % 3, "train") for row in range(14)] + [(0, "test")] * 3


def config(**changes) -> Config:
    values = {
        "view_name": "rgb",
        "view": Rgb(),
        "clip": CLIP,
        "encoder": SPEC,
        "schedule": MaskFeatSchedule(epochs=3, batch=4, lr=1e-3, warmup_epochs=0),
        "mask": CUBE,
        "target": HogTarget(cell=4),
        "precision": "fp32",
    }
    return Config(**(values | changes))


def outputs(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def train(context, **changes) -> dict:
    metrics = run(config(**changes), context)
    context.write_curves()
    return metrics


def curves(folder: Path) -> list[dict[str, str]]:
    with (folder / "curves.csv").open() as file:
        return list(csv.DictReader(file))


@pytest.fixture(autouse=True)
def plain_pictures(request, monkeypatch):
    """Drawing takes longer than these trainings; one test does it. Pictures still say what they would have shown."""
    if "pictures" in request.node.name:
        return

    def predictions(clips, mask, predicted, true, spec):
        tint = np.array([predicted.sum(), true.sum(), mask.sum()]) % 256
        return np.tile(tint.astype(np.uint8), (2, 2, 1))

    monkeypatch.setattr(gallery, "prediction_picture", predictions)
    for name in ("curve_picture", "mask_picture"):
        monkeypatch.setattr(stage, name, lambda *_: np.zeros((1, 1, 3), np.uint8))


def test_it_hands_on_an_encoder_with_its_last_stride_a_head_curves_and_pictures(make_clips, make_context):
    make_clips(VIDEOS)
    context = make_context("demo.hog.s0")
    metrics = train(context)

    encoder, card = load_encoder(context.out)
    assert card.encoder == SPEC and SPEC.last_stride and card.stage == "demo.hog.s0"
    assert encoder(torch.zeros(1, 3, 4, 32, 32)).shape == (1, 16)
    head = load_file(context.out / "head.safetensors")
    assert set(head) == {"norm.weight", "norm.bias", "linear.weight", "linear.bias", "token.mask"}
    assert head["linear.weight"].shape == (metrics["target_width"], 16) == (3 * 9, 16)
    assert (metrics["videos"], metrics["steps"]) == (14, 9)
    names = {p.stem for p in (context.out / "pictures").iterdir()}
    assert names == {"masks", "curves", "predicted_0001", "predicted_0002", "predicted_0003"}
    points = curves(context.out)
    assert [int(p["step"]) for p in points] == list(range(1, 10))
    assert all(0.3 < float(p["masked"]) <= 0.41 for p in points)
    assert all(0.0 < float(p["constant_loss"]) < 0.12 for p in points)


def test_the_loss_is_the_error_of_hidden_tokens_alone(make_clips, make_context, monkeypatch):
    """Against loops over tokens: nothing of what is visible counts, and every number of a target counts alike."""
    make_clips(VIDEOS)
    seen = []
    forward = Predictor.forward

    def watched(self, clips, mask, hidden):
        found = forward(self, clips, mask, hidden)
        if self.training:
            seen.append((clips.clone(), mask.clone(), found.detach().clone()))
        return found

    monkeypatch.setattr(Predictor, "forward", watched)
    context = make_context()
    train(context)
    for point, (clips, mask, found) in zip(curves(context.out), seen, strict=True):
        true = Targets(config().target, (4, 32, 32), config().grid)(clips)
        everywhere = mask_on_grid(mask, config().grid)
        errors, number = [], 0
        for n, t, y, x in np.ndindex(*everywhere.shape):
            if everywhere[n, t, y, x]:
                errors += ((found[number] - true[n, t, y, x]) ** 2).tolist()
                number += 1
        assert number == len(found)
        assert float(point["loss"]) == pytest.approx(np.mean(errors), rel=1e-5)
        constant = ((true[everywhere] - true[everywhere].mean(0)) ** 2).mean().item()
        assert float(point["constant_loss"]) == pytest.approx(constant, rel=1e-4)


def test_gradients_of_micro_batches_add_up_to_those_of_the_batch(make_clips, make_context, tmp_path):
    make_clips(VIDEOS)
    for name, size in (("whole", None), ("parts", 3)):  # 4 clips: 3 and 1
        schedule = MaskFeatSchedule(epochs=3, batch=4, lr=1e-3, warmup_epochs=0, micro_batch=size)
        train(make_context(out=name), schedule=schedule)
    whole, parts = (curves(tmp_path / name) for name in ("whole", "parts"))
    for one, other in zip(whole, parts, strict=True):
        for name in ("loss", "constant_loss", "gradient_norm", "masked"):
            assert float(one[name]) == pytest.approx(float(other[name]), rel=1e-3)


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"mask": TubeMask(kind="tube", cell=8, sampler="exact"), "target": PixelTarget(kind="pixel")},
        {"mask": FrameMask(kind="frame", cell=8, ratio=0.5), "target": HogTarget(cell=4, frames="all")},
    ],
    ids=["cube", "tube", "frame"],
)
def test_kills_and_loader_processes_change_no_bit(make_clips, make_context, tmp_path, changes):
    make_clips(VIDEOS)
    expected = train(make_context(out="plain"), **changes)
    plain = outputs(tmp_path / "plain")
    assert train(make_context(out="workers", local=Local(device="cpu", workers=2)), **changes) == expected
    assert outputs(tmp_path / "workers") == plain
    for at in (4, 7):
        with pytest.raises(Killed):
            train(make_context(out=f"dead{at}", checkpoints=Dying(tmp_path / "saved", 2, at)), **changes)
    torch.rand(7)  # whatever else the process drew
    assert train(make_context(out="again", checkpoints=Checkpoints(tmp_path / "saved", 2)), **changes) == expected
    assert outputs(tmp_path / "again") == plain


def test_masks_and_pictures_are_drawn(make_clips, make_context):
    make_clips(VIDEOS)
    context = make_context()
    train(context, schedule=MaskFeatSchedule(epochs=1, batch=4))
    sizes = {p.stem: p.stat().st_size for p in (context.out / "pictures").iterdir()}
    assert set(sizes) == {"masks", "curves", "predicted_0001"} and min(sizes.values()) > 5_000


def test_it_learns_more_than_a_constant(make_clips, make_context):
    """Upright or lying stripes all over a clip: what is hidden follows from what is seen, and no constant fits both."""
    clips = make_clips([(row % 2, "train") for row in range(16)])

    def read(row: int, numbers: np.ndarray) -> np.ndarray:
        upright = np.tile((np.arange(32) + row) // 4 % 2, (32, 1))
        texture = upright if row % 2 else upright.T
        return np.broadcast_to((60 + 120 * texture).astype(np.uint8)[None, :, :, None], (len(numbers), 32, 32, 3))

    clips.read = read
    schedule = MaskFeatSchedule(epochs=40, batch=8, lr=3e-3, warmup_epochs=2)
    assert train(make_context(), schedule=schedule, area=(0.9, 1.0))["loss_ratio"] < 0.5


def test_one_that_learns_nothing_is_warned_of_once(make_clips, make_context, capsys):
    make_clips(VIDEOS)
    metrics = train(make_context(), schedule=MaskFeatSchedule(epochs=4, batch=4, lr=1e-12))
    assert metrics["loss_ratio"] >= 1
    assert capsys.readouterr().err.count("no better than that of a constant prediction") == 1


def test_a_training_that_diverges_is_explained(make_clips, make_context):
    make_clips(VIDEOS)
    wild = MaskFeatSchedule(epochs=3, batch=4, lr=1e30, warmup_epochs=0, optimizer="sgd", gradient_clip=None)
    with pytest.raises(UserError, match="lower schedule.lr"):
        train(make_context(), schedule=wild)


def test_it_starts_from_another_model(make_clips, make_context, tmp_path):
    make_clips(VIDEOS)
    first = make_context(out="first")
    train(first)
    still = MaskFeatSchedule(epochs=1, batch=4, lr=1e-30)
    again = make_context(out="again", init=first.out)
    train(again, schedule=still)
    one, other = (load_file(c.out / "encoder.safetensors") for c in (first, again))
    for name, tensor in one.items():
        if ".rel_pos_" not in name:  # tables go to another length and back
            assert torch.allclose(other[name], tensor, atol=1e-6), name
    one, other = (load_file(c.out / "head.safetensors") for c in (first, again))
    assert {"token.mask", "linear.weight"} < one.keys()
    for name, tensor in one.items():
        assert torch.allclose(other[name], tensor, atol=1e-6), name


def test_no_block_is_skipped_in_pre_training(make_context):
    wide = config(encoder=MvitV2(kind="mvit_v2_s", pool="mean"))
    blocks = starting_encoder(wide, make_context()).body.blocks
    assert [block.stochastic_depth.p for block in blocks] == [0.0] * 16


def test_a_teachers_features_are_a_target(make_clips, make_context, tmp_path):
    make_clips(VIDEOS)
    narrow = Narrow(kind="narrow", width=4)
    folder = tmp_path / "teacher"
    folder.mkdir()
    card = Card(encoder=narrow, view_name="rgb", view=Rgb(), clip=CLIP, stage="demo.teacher")
    save_encoder(folder, build_encoder(narrow, 3, seed=0), card)
    before = outputs(folder)
    context = make_context(teacher=folder)
    metrics = train(context, target=FeatureTarget(kind="features", model="teacher"))
    assert metrics["target_width"] == 32 and np.isfinite(metrics["loss"])
    assert outputs(folder) == before


def test_the_token_grid_of_the_papers_recipe():
    """16 frames at 224: 8 x 14 x 14 tokens without the last stride, each of 108 numbers."""
    whole = config(clip=Clip(frames=16, size=224), encoder=SmallMvit(kind="mvit_small", blocks=(1, 1, 1, 1)))
    assert whole.grid == (8, 14, 14)
    assert pretraining(whole.encoder).token_side == 16
    assert Targets(HogTarget(), (16, 224, 224), whole.grid).width == 108


def test_fewer_videos_than_a_batch_are_explained(make_clips, make_context):
    make_clips(VIDEOS)
    with pytest.raises(UserError, match="14 videos, fewer than one batch of 32"):
        train(make_context(), schedule=MaskFeatSchedule(epochs=1))


def test_what_is_predicted_is_of_the_clip_before_it_was_hidden(make_clips, make_context):
    """The encoder gets whole clips and a mask: pixels of the clip under the mask are those of the video."""
    make_clips(VIDEOS)
    seen = []

    class Watched(Targets):
        def __call__(self, clips):
            seen.append(clips.clone())
            return super().__call__(clips)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(stage, "Targets", Watched)
        train(make_context(), schedule=MaskFeatSchedule(epochs=1, batch=4))
    grey = normalise(torch.full((1, 3, 1, 1, 1), 128, dtype=torch.uint8), Rgb())
    assert all(clips.shape == (4, 3, 4, 32, 32) or clips.shape[0] == 4 for clips in seen)
    assert not any(torch.isclose(clips, grey).float().mean() > 0.3 for clips in seen)
    assert F.mse_loss(seen[0], seen[1]) > 0
