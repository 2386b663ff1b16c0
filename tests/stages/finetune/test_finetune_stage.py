"""The finetune stage as a whole, on videos that exist in memory."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file

from engine.errors import UserError
from engine.run.checkpoint import Checkpoints
from engine.run.local import Local
from stages.classify import stage as classify
from stages.classify.classifier import load_classifier
from stages.classify.holdout import held_out
from stages.classify.spec import Augmentation, Config as ClassifyConfig, Mix, RandAugment
from stages.features.spec import Look
from stages.features.splits import train_and_test
from stages.finetune import stage
from stages.finetune.spec import Config, FinetuneSchedule, HeldOutEpochs
from stages.finetune.stage import run
from stages.nn.encoders import build_encoder
from stages.nn.spec import Card, Narrow, SmallMvit
from stages.nn.weights import load_encoder, save_encoder
from stages.two_stream import stage as two_stream
from stages.two_stream.spec import Config as TwoStreamConfig
from stages.video.flow_spec import Flow
from stages.video.spec import Clip, Difference, Rgb
from stages.video.views import ViewReader
from tests.stages.dying import Dying, Killed

SPEC = Narrow(kind="narrow", width=4)
CLIP = Clip(frames=2, size=16)
VIDEOS = [(c, "test" if i % 4 == 0 else "train") for i in range(8) for c in range(3)]  # 18 train, 6 test
HELD = HeldOutEpochs(share=0.34, every=2, windows=2)


def encoder(folder: Path, view: Rgb | Difference | Flow) -> Path:
    folder.mkdir(exist_ok=True)
    card = Card(encoder=SPEC, view_name="seen", view=view, clip=Clip(frames=8, size=32), stage="demo.start")
    save_encoder(folder, build_encoder(SPEC, view.channels, seed=0), card)
    return folder


def config(**changes) -> Config:
    values = {
        "view": Rgb(),
        "clip": CLIP,
        "encoder": SPEC,
        "schedule": FinetuneSchedule(epochs=3, batch=4),
        "backbone_lr": 1e-4,
        "dropout": 0.5,
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
def plain_curves(request, monkeypatch):
    """Drawing takes longer than these trainings; one test does it."""
    if "files" not in request.node.name:
        monkeypatch.setattr(stage, "curve_picture", lambda points, panels: np.zeros((1, 1, 3), np.uint8))
        monkeypatch.setattr(
            "stages.classify.report.confusion_picture", lambda *_: np.zeros((2, 2, 3), np.uint8)
        )


@pytest.fixture
def start(tmp_path) -> Path:
    return encoder(tmp_path / "start", Rgb())


def test_files_and_metrics(make_clips, make_context, start):
    clips = make_clips(VIDEOS)
    context = make_context(init=start)
    metrics = train(context, held_out=HELD)
    files = {"encoder.safetensors", "head.safetensors", "classes.json", "curves.csv", "pictures/curves.png"}
    assert set(outputs(context.out)) == files
    trained, card = load_encoder(context.out)
    assert (card.view_name, card.clip, card.stage) == ("seen", CLIP, "demo.x")
    assert not torch.equal(trained.body[0][0].weight, load_encoder(start)[0].body[0][0].weight)
    assert load_classifier(context.out)[2] == clips.classes
    assert metrics["videos"] == 12 and metrics["held_out_videos"] == 6 and metrics["steps"] == 9
    points = curves(context.out)
    assert [p["step"] for p in points if p["held_out_top1"]] == ["6", "9"]  # every second epoch, and the last
    assert [p["step"] for p in points if p["augmented_top1"]] == [str(n) for n in range(1, 10)]
    best = max(float(p["held_out_top1"]) for p in points if p["held_out_top1"])
    assert metrics["held_out_top1"] == pytest.approx(best)


def test_rates_fall_together_at_the_milestones(make_clips, make_context, start):
    make_clips(VIDEOS)
    context = make_context(init=start)
    train(context, schedule=FinetuneSchedule(epochs=5, batch=9, milestones=(0.4, 0.8)))
    points = curves(context.out)
    rates = [(float(p["learning_rate"]), float(p["backbone_learning_rate"])) for p in points]
    expected = [1e-3] * 4 + [1e-4] * 4 + [1e-5] * 2
    assert [r for r, _ in rates] == pytest.approx(expected)
    assert [b for _, b in rates] == pytest.approx([r / 10 for r in expected])


def test_without_a_choice_all_videos_are_trained_on_and_the_last_weights_stay(
    make_clips, make_context, start
):
    make_clips(VIDEOS)
    context = make_context(init=start)
    metrics = train(context)
    assert metrics["videos"] == 18 and metrics["epoch"] == 3
    assert "held_out_top1" not in metrics and "held_out_top1" not in curves(context.out)[0]


def test_what_is_held_out_is_not_seen_in_training_and_is_the_probes_part(
    make_clips, make_context, start, monkeypatch
):
    clips = make_clips(VIDEOS, groups=[row // 3 for row in range(24)])
    seen: list[np.ndarray] = []
    original = stage.TrainBatches.__getitem__

    def watched(self, step):
        batch = original(self, step)
        seen.append(batch[2].numpy())
        return batch

    monkeypatch.setattr(stage.TrainBatches, "__getitem__", watched)
    context = make_context(init=start)
    train(context, held_out=HELD, schedule=FinetuneSchedule(epochs=3, batch=12))
    trained, _ = train_and_test(clips, context)
    held = held_out(clips, trained, HELD, context)
    assert sorted(set(np.concatenate(seen))) == trained.rows[~held].tolist()
    assert not set(clips.groups[trained.rows[held]]) & set(clips.groups[np.concatenate(seen)])


def test_the_weights_of_the_best_epoch_are_handed_on(make_clips, make_context, start, monkeypatch, tmp_path):
    make_clips(VIDEOS)
    results = iter([(0.5, 1.0), (0.8, 2.0), (0.8, 1.5), (0.1, 0.1)])
    weights = []

    def judged(network, *_):
        weights.append({name: value.clone() for name, value in network.state_dict().items()})
        return next(results)

    monkeypatch.setattr(stage, "judge", judged)
    often = HeldOutEpochs(share=0.34, every=1)
    metrics = train(make_context(init=start), held_out=often, schedule=FinetuneSchedule(epochs=4, batch=4))
    assert (metrics["epoch"], metrics["held_out_top1"], metrics["held_out_loss"]) == (3, 0.8, 1.5)
    saved = load_classifier(tmp_path / "out")[0].state_dict()
    for name, value in weights[2].items():
        assert torch.equal(saved[name], value), name
    assert not torch.equal(saved["linear.weight"], weights[3]["linear.weight"])


def test_looking_at_held_out_videos_leaves_no_trace(make_clips, make_context, start, tmp_path):
    """The weights after the last epoch are the same however often the held-out videos were looked at."""
    make_clips(VIDEOS)
    for every in (1, 2):
        often = HELD.model_copy(update={"every": every})
        train(make_context(out=f"every{every}", init=start), held_out=often)
    points = {every: curves(tmp_path / f"every{every}") for every in (1, 2)}
    assert [p["loss"] for p in points[1]] == [p["loss"] for p in points[2]]
    assert points[1][-1] == points[2][-1]


def test_too_few_videos_to_choose_by(make_clips, make_context, start, capsys):
    make_clips([(c, split) for c in range(4) for split in ("train", "test")])
    metrics = train(make_context(init=start), held_out=HELD)
    assert metrics["videos"] == 4 and metrics["epoch"] == 3
    assert "the last epoch is handed on" in capsys.readouterr().err


@pytest.mark.parametrize("held", [None, HELD])
def test_kills_and_loader_processes_change_no_bit(
    make_clips, make_context, start, tmp_path, held, monkeypatch
):
    # A point of the curves is the mean of steps before and after a kill.
    monkeypatch.setattr("stages.finetune.monitor.POINTS", 2)
    make_clips(VIDEOS)
    changes = {"held_out": held, "dropout": 0.9}
    expected = train(make_context(out="plain", init=start), **changes)
    plain = outputs(tmp_path / "plain")
    local = Local(device="cpu", workers=2)
    assert train(make_context(out="workers", init=start, local=local), **changes) == expected
    assert outputs(tmp_path / "workers") == plain
    # The second time it has looked at held-out videos, and dies a step after its last checkpoint.
    for at in (4, 7):
        dying = make_context(out=f"dead{at}", init=start, checkpoints=Dying(tmp_path / "saved", 2, at))
        with pytest.raises(Killed):
            train(dying, **changes)
    again = make_context(out="again", init=start, checkpoints=Checkpoints(tmp_path / "saved", 2))
    assert train(again, **changes) == expected
    assert outputs(tmp_path / "again") == plain


def test_a_choice_made_before_a_kill_holds_after_it(make_clips, make_context, start, tmp_path, monkeypatch):
    make_clips(VIDEOS)
    looks: list[float] = []

    def judged(*_):
        looks.append(0.9 if not looks else 0.1)
        return looks[-1], 1.0

    monkeypatch.setattr(stage, "judge", judged)
    expected = train(make_context(out="plain", init=start), held_out=HELD)
    assert expected["epoch"] == 2 and looks == [0.9, 0.1]
    looks.clear()
    dying = make_context(out="dead", init=start, checkpoints=Dying(tmp_path / "saved", 2, 7))
    with pytest.raises(Killed):
        train(dying, held_out=HELD)
    assert looks == [0.9]
    again = make_context(out="again", init=start, checkpoints=Checkpoints(tmp_path / "saved", 2))
    assert train(again, held_out=HELD) == expected
    assert outputs(tmp_path / "again") == outputs(tmp_path / "plain")


@pytest.mark.parametrize(
    "changes",
    [
        {"backbone_lr": 1e-2},
        {"dropout": 0.0},
        {"schedule": FinetuneSchedule(epochs=3, batch=4, weight_decay=0.5)},
        {
            "schedule": FinetuneSchedule(
                epochs=3, batch=4, optimizer="sgd", lr=0.1, decay="cosine", warmup_epochs=1
            )
        },
    ],
    ids=["backbone", "dropout", "decay", "sgd"],
)
def test_each_setting_changes_what_is_learnt(make_clips, make_context, start, changes):
    make_clips(VIDEOS)
    assert (
        train(make_context(out="a", init=start))["loss"]
        != train(make_context(out="b", init=start), **changes)["loss"]
    )


TOKENS = SmallMvit(kind="mvit_small", width=8, blocks=(1, 1), table_size=16)
MASKFEATS = {
    "encoder": TOKENS,
    "schedule": FinetuneSchedule(
        epochs=3, batch=4, optimizer="adamw", lr=1e-2, decay="cosine", warmup_epochs=1, gradient_clip=5.0,
        decay_vectors=False, final_share=0.01,
    ),
    "backbone_lr": 1e-2,
    "layer_decay": 0.75,
    "drop_path": 0.1,
    "label_smoothing": 0.1,
    "head_scale": 0.001,
    "mix": Mix(),
    "augmentation": Augmentation(
        area=(0.08, 1.0), colours=RandAugment(kind="rand_augment"), erase_share=0.25, repeats=2
    ),
}  # fmt: skip


@pytest.fixture
def token_start(tmp_path) -> Path:
    folder = tmp_path / "tokens"
    folder.mkdir()
    card = Card(encoder=TOKENS, view_name="seen", view=Rgb(), clip=CLIP, stage="demo.start")
    save_encoder(folder, build_encoder(TOKENS, 3, seed=0), card)
    return folder


def test_maskfeats_whole_recipe_survives_kills_and_loader_processes(
    make_clips, make_context, token_start, tmp_path
):
    make_clips(VIDEOS)
    expected = train(make_context(out="plain", init=token_start), **MASKFEATS)
    plain = outputs(tmp_path / "plain")
    local = Local(device="cpu", workers=2)
    assert train(make_context(out="workers", init=token_start, local=local), **MASKFEATS) == expected
    assert outputs(tmp_path / "workers") == plain
    dying = make_context(out="dead", init=token_start, checkpoints=Dying(tmp_path / "saved", 2, 7))
    with pytest.raises(Killed):
        train(dying, **MASKFEATS)
    again = make_context(out="again", init=token_start, checkpoints=Checkpoints(tmp_path / "saved", 2))
    assert train(again, **MASKFEATS) == expected
    assert outputs(tmp_path / "again") == plain
    rates = [(float(p["learning_rate"]), float(p["backbone_learning_rate"])) for p in curves(tmp_path / "plain")]
    # Two blocks: patch embedding, two layers, the head; the curve of the backbone is that of its first layer.
    assert all(low == pytest.approx(high * 0.75**3) for high, low in rates)
    assert rates[3][0] == pytest.approx(1e-2) and rates[-1][0] < 2e-3


def test_gradients_of_micro_batches_add_up_to_those_of_the_batch(
    make_clips, make_context, token_start, tmp_path
):
    make_clips(VIDEOS)
    recipe = MASKFEATS | {"drop_path": None, "dropout": 0.0}  # which draw at random, and so by parts
    for name, size in (("whole", None), ("parts", 3)):  # 8 clips: 3, 3 and 2
        schedule = MASKFEATS["schedule"].model_copy(update={"micro_batch": size})
        train(make_context(out=name, init=token_start), **(recipe | {"schedule": schedule}))
    whole, parts = (curves(tmp_path / name) for name in ("whole", "parts"))
    losses = [[float(point["loss"]) for point in points] for points in (whole, parts)]
    assert losses[0] == pytest.approx(losses[1], rel=1e-3)


@pytest.mark.parametrize("field", ["layer_decay", "drop_path", "label_smoothing", "head_scale", "mix", "augmentation"])
def test_each_part_of_the_recipe_changes_what_is_learnt(make_clips, make_context, token_start, field):
    make_clips(VIDEOS)
    without = {name: value for name, value in MASKFEATS.items() if name != field}
    whole = train(make_context(out="whole", init=token_start), **MASKFEATS)
    assert train(make_context(out="without", init=token_start), **without)["loss"] != whole["loss"]


def test_smoothed_labels_by_hand(make_clips, make_context, token_start):
    """A linear layer of nothing says 1/3 for each of three classes: cross-entropy ln 3, however labels are smoothed."""
    make_clips(VIDEOS)
    changes = {"head_scale": 1e-30, "label_smoothing": 0.4, "encoder": TOKENS, "dropout": 0.0}
    context = make_context(init=token_start)
    train(context, schedule=FinetuneSchedule(epochs=1, batch=4), **changes)
    assert float(curves(context.out)[0]["loss"]) == pytest.approx(np.log(3), abs=1e-5)


def test_repeats_are_other_clips_of_the_same_videos(make_clips):
    clips = make_clips(VIDEOS, frames=40)
    epochs = stage.Epochs(clips.split("train"), 4, 0)
    reader = ViewReader(Rgb(), clips)
    twice = stage.TrainBatches(reader, CLIP, epochs, 0, Augmentation(repeats=2))[1]
    once = stage.TrainBatches(reader, CLIP, epochs, 0)[1]
    assert twice[2].tolist() == [*once[2].tolist(), *once[2].tolist()]
    assert torch.equal(twice[0][:4], once[0]) and twice[1][:4] == once[1]
    assert not any(torch.equal(twice[0][i], twice[0][i + 4]) for i in range(4))


@pytest.mark.parametrize("view", [Difference(), Flow(kind="flow"), Flow(kind="flow", faithful=True)])
def test_other_views(make_clips, make_context, tmp_path, monkeypatch, view):
    clips = make_clips(VIDEOS)

    class Noise:
        def read(self, row: int, numbers: np.ndarray) -> np.ndarray:
            return np.random.default_rng(row).integers(1, 256, (len(numbers), 20, 30, 2), np.uint8)

    if view.kind == "flow":
        monkeypatch.setattr(stage, "open_view", lambda view, clips, context: ViewReader(view, clips, Noise()))
    context = make_context(init=encoder(tmp_path / "moving", view))
    metrics = train(context, view=view, held_out=HELD)
    assert np.isfinite(metrics["loss"])
    assert load_encoder(context.out)[1].view == view
    assert len(clips.paths) == 24


def test_a_training_that_diverges_is_explained(make_clips, make_context, start):
    make_clips(VIDEOS)
    with pytest.raises(UserError, match="lower schedule.lr"):
        train(
            make_context(init=start),
            schedule=FinetuneSchedule(epochs=3, batch=4, optimizer="sgd", lr=1e30),
            backbone_lr=1e30,
        )


def test_fewer_videos_than_a_batch_are_explained(make_clips, make_context, start):
    make_clips(VIDEOS)
    with pytest.raises(UserError, match="18 videos, fewer than one batch of 32"):
        train(make_context(init=start), schedule=FinetuneSchedule(epochs=1))


def test_it_learns_what_tells_classes_apart_and_the_test_says_so(make_clips, make_context, start):
    """Upright stripes, lying stripes and noise, in videos that were never seen; one of them has a single frame."""
    clips = make_clips(
        [(row % 3, "test" if row >= 36 else "train") for row in range(60)], frames=[4] * 59 + [1]
    )

    def read(row: int, numbers: np.ndarray) -> np.ndarray:
        noise = np.random.default_rng(row).integers(0, 2, (24, 24))
        upright = np.tile((np.arange(24) + row) // 3 % 2, (24, 1))
        texture = (upright, upright.T, noise)[row % 3]
        return np.broadcast_to(
            (80 + 100 * texture).astype(np.uint8)[None, :, :, None], (len(numbers), 24, 24, 3)
        )

    clips.read = read
    look = Look(clip=CLIP, windows="half_overlap", precision="fp32")
    test = ClassifyConfig(seeds=(0,), look=look, crops="ten", crop_share=0.875)
    accuracy = {}
    for name, epochs, lr in (("trained", 20, 1e-2), ("still", 1, 1e-30)):
        context = make_context(out=name, init=start)
        schedule = FinetuneSchedule(epochs=epochs, batch=12, lr=lr)
        train(context, schedule=schedule, backbone_lr=lr / 3, dropout=0.2)
        found = classify.run(test, make_context(out=f"{name}.test", models=(context.out,)))
        assert found["test_videos"] == 24
        accuracy[name] = found["seeds"]["0"]["top1"]
    assert found["chance"]["top1"] == pytest.approx(1 / 3)
    assert accuracy["trained"] >= 0.85 and accuracy["still"] <= 0.6, accuracy


def test_two_finetuned_models_are_averaged_video_by_video(make_clips, make_context, tmp_path):
    """From training to the mean of both: one sees frames, one their differences."""
    clips = make_clips([(c, "test" if i % 2 else "train") for i in range(4) for c in range(6)])
    look = Look(clip=CLIP, windows=2, precision="fp32")
    test = ClassifyConfig(seeds=(3,), look=look, crops="five", crop_share=0.8)
    members = []
    for name, view in (("still", Rgb()), ("moving", Difference())):
        trained = make_context(out=f"{name}.s3", init=encoder(tmp_path / name, view))
        train(trained, view=view)
        tested = make_context(out=name + ".test", models=(trained.out,))
        classify.run(test, tested)
        members.append(tested.out)
    both = make_context(out="both", members=tuple(members))
    found = two_stream.run(TwoStreamConfig(), both)
    tables = [load_file(folder / "probabilities.safetensors")["s3"] for folder in (*members, both.out)]
    assert not np.allclose(tables[0], tables[1], atol=1e-3)
    assert tables[2] == pytest.approx((tables[0] + tables[1]) / 2, abs=1e-6)
    assert tables[2].sum(1) == pytest.approx(np.ones(12), abs=1e-5)
    right = tables[2].argmax(1) == clips.targets[clips.split("test")]
    assert found["seeds"]["3"]["top1"] == pytest.approx(right.mean())
    assert set(found["seeds"]["3"]) == {"top1", "top5", "mean_class"}
