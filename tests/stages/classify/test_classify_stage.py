"""Classifiers measured on test videos: means over windows and crops, and single clips."""

from __future__ import annotations

import json

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from safetensors.numpy import load_file

from engine.errors import UserError
from engine.run.checkpoint import Checkpoints
from engine.run.local import Local
from stages.classify.classifier import Classifier, load_classifier, save_classifier
from stages.classify.probabilities import ClipAccuracy
from stages.classify.spec import Config
from stages.classify.stage import run
from stages.features.spec import Look
from stages.nn.encoders import build_encoder
from stages.nn.spec import Card, Narrow
from stages.video.sampling import frame_numbers
from stages.video.spec import Clip, Difference, Rgb
from stages.video.transforms import evaluation_clip, normalise

CLIP = Clip(frames=4, size=16)
SPEC = Narrow(kind="narrow", width=4)
VIDEOS = [(c, "test" if i % 2 else "train") for i in range(4) for c in range(7)]


def config(windows: int | str = 2, crops: str = "centre", share: float = 1.0) -> Config:
    return Config(
        seeds=(0, 5), look=Look(clip=CLIP, windows=windows, precision="fp32"), crops=crops, crop_share=share
    )


@pytest.fixture
def models(tmp_path):
    """Two classifiers of seven classes with random weights."""
    folders = []
    for seed in (0, 1):
        folders.append(tmp_path / f"trained.s{seed}")
        network = Classifier(build_encoder(SPEC, 3, seed=seed), 7, 0.9, seed)
        network.linear.weight.data *= 20  # so that probabilities are not all alike
        card = Card(encoder=SPEC, view_name="rgb", view=Difference(), clip=CLIP, stage="demo.x")
        save_classifier(folders[-1], network, card, [f"class_{c}" for c in range(7)])
    return tuple(folders)


@pytest.fixture(autouse=True)
def plain_confusion(request, monkeypatch):
    if "files" not in request.node.name:
        monkeypatch.setattr(
            "stages.classify.report.confusion_picture", lambda *_: np.zeros((2, 2, 3), np.uint8)
        )


def naive(clips, folder, row: int, starts, places, mirrored: bool) -> np.ndarray:
    """Probabilities of each clip of a video, one by one: [clips, classes]."""
    network, card, _ = load_classifier(folder)
    found = []
    for start in starts:
        frames = clips.read(row, frame_numbers(start, int(clips.frames[row]), CLIP))
        for top, left, side in places:
            clip = evaluation_clip(frames[:, top : top + side, left : left + side], CLIP.size)
            for shown in (clip, clip.flip(-1)) if mirrored else (clip,):
                with torch.no_grad():
                    found.append(network(normalise(shown[None], card.view)).softmax(-1)[0].double().numpy())
    return np.array(found)


def test_every_video_is_the_mean_of_its_windows_and_crops(make_clips, make_context, models):
    # 40 x 30 pixels: squares of 24. Windows of a half overlap less one frame start at 0, 1, 2 ...
    clips = make_clips(VIDEOS, frames=[5] * 7 + [1, 2, 3, 4, 5, 6, 5] + [5] * 14)
    context = make_context(models=models)
    found = run(config("half_overlap", "ten", 0.8), context)
    places = [(3, 8, 24), (0, 0, 24), (0, 16, 24), (6, 0, 24), (6, 16, 24)]
    rows = clips.split("test")
    tables = load_file(context.out / "probabilities.safetensors")
    for number, folder in enumerate(models):
        seed = ("s0", "s5")[number]
        alone = [naive(clips, folder, int(r), range(max(1, clips.frames[r] - 3)), places, True) for r in rows]
        means = np.array([a.mean(0) for a in alone])
        assert tables[seed] == pytest.approx(means, abs=1e-5)
        hits = [(a.argmax(1) == clips.targets[row]) for row, a in zip(rows, alone)]
        five = [(np.argsort(-a, 1)[:, :5] == clips.targets[row]).any(1) for row, a in zip(rows, alone)]
        mine = found["seeds"][seed[1:]]
        assert mine["clip_top1"] == pytest.approx(np.concatenate(hits).mean())
        assert mine["clip_top5"] == pytest.approx(np.concatenate(five).mean())
        assert mine["top1"] == pytest.approx((means.argmax(1) == clips.targets[rows]).mean())
        count = sum(len(a) for a in alone)
    assert found["test_videos"] == 14  # those of one frame too
    assert found["test_clips"] == count == 10 * (1 + 1 + 1 + 1 + 2 + 3 + 2 + 7 * 2)


def test_metrics_and_files(make_clips, make_context, models):
    clips = make_clips(VIDEOS)
    context = make_context(models=models)
    found = run(config(), context)
    metrics = {"top1", "top5", "mean_class", "clip_top1", "clip_top5"}
    assert set(found["seeds"]["0"]) == set(found["chance"]) == metrics
    assert found["chance"]["clip_top5"] == pytest.approx(5 / 7)
    rows = pq.read_table(context.out / "predictions.parquet").to_pylist()
    assert [r["path"] for r in rows if r["seed"] == 5] == [clips.paths[r] for r in clips.split("test")]
    assert np.mean([r["right"] for r in rows if r["seed"] == 0]) == pytest.approx(found["seeds"]["0"]["top1"])
    assert (context.out / "pictures" / "confusion.png").exists()


def test_top5_of_few_classes_is_left_out(make_clips, make_context, tmp_path):
    make_clips([(0, "train"), (1, "test")])
    card = Card(encoder=SPEC, view_name="rgb", view=Rgb(), clip=CLIP, stage="demo.x")
    save_classifier(
        tmp_path / "m", Classifier(build_encoder(SPEC, 3, seed=0), 2, 0, 0), card, ["class_0", "class_1"]
    )
    found = run(Config(**(dict(config()) | {"seeds": (0,)})), make_context(models=(tmp_path / "m",)))
    assert set(found["seeds"]["0"]) == set(found["chance"]) == {"top1", "mean_class", "clip_top1"}


def test_loader_processes_and_a_kill_change_no_bit(make_clips, make_context, models, tmp_path, monkeypatch):
    monkeypatch.setattr("stages.features.windows.BATCH", 3)
    make_clips(VIDEOS)

    class Killed(Checkpoints):
        def after_step(self, done, total, state, context) -> None:
            super().after_step(done, total, state, context)
            if done == 4:
                raise KeyboardInterrupt

    def outputs(out: str, **changes):
        context = make_context(out=out, models=models, **changes)
        found = run(config(2, "five", 0.7), context)
        return found, {p.name: p.read_bytes() for p in context.out.rglob("*") if p.is_file()}

    plain = outputs("plain")
    assert outputs("workers", local=Local(device="cpu", workers=2)) == plain
    with pytest.raises(KeyboardInterrupt):
        outputs("killed", checkpoints=Killed(tmp_path / "saved", every=1))
    assert outputs("again", checkpoints=Checkpoints(tmp_path / "saved", every=1)) == plain


def test_classes_that_are_not_the_data_sets_are_refused(make_clips, make_context, models):
    make_clips(VIDEOS)
    text = json.dumps([f"other_{c}" for c in range(7)])
    (models[1] / "classes.json").write_text(text)
    with pytest.raises(UserError, match="trained.s1 tells other classes apart"):
        run(config(), make_context(models=models))


def test_accuracy_of_clips_by_hand_and_over_a_stop():
    table = torch.tensor([[[0.5, 0.3, 0.2], [0.4, 0.4, 0.2]], [[0.1, 0.2, 0.7], [0.2, 0.6, 0.2]]])
    alone = ClipAccuracy(2, (1, 2))
    alone.add(table, np.array([0, 1]))
    later = ClipAccuracy(2, (1, 2))
    later.load_state_dict(alone.state_dict())
    later.add(table[:, :1], np.array([1]))
    # first network: ranks 0, 1 (of equals the lower number stands first), then 1; second: 2, 0, then 1
    assert later.of(0) == pytest.approx({"clip_top1": 1 / 3, "clip_top2": 1.0})
    assert later.of(1) == pytest.approx({"clip_top1": 1 / 3, "clip_top2": 2 / 3})
