"""The features stage: the same numbers as by hand, whatever the workers and interruptions."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file

from engine.errors import UserError
from engine.run.checkpoint import Checkpoints
from engine.run.local import Local
from stages.features import stage
from stages.features.spec import Config, Look
from stages.features.windows import starts
from stages.nn.encoders import build_encoder
from stages.nn.spec import Card, Narrow
from stages.nn.weights import load_encoder, save_encoder
from stages.video.sampling import frame_numbers
from stages.video.spec import Clip, Difference, Rgb
from stages.video.transforms import evaluation_clip, normalise

CLIP = Clip(frames=4, size=16)
VIDEOS = [(0, "train"), (1, "test"), (0, "val"), (1, "unused"), (0, "test")]


def encoders(folder, count: int = 2, views=(Rgb(), Rgb()), broken: bool = False) -> tuple:
    spec = Narrow(kind="narrow", width=4)
    folders = []
    for seed in range(count):
        encoder = build_encoder(spec, 3, seed=seed).eval()
        if broken and seed == 1:
            torch.nn.init.constant_(encoder.body[0][0].weight, float("nan"))
        folders.append(folder / f"infonce-rgb.s{seed}")
        folders[-1].mkdir()
        save_encoder(
            folders[-1],
            encoder,
            Card(encoder=spec, view_name="rgb", view=views[seed], clip=CLIP, stage="demo.x"),
        )
    return tuple(folders)


def config(windows: int = 3, normalise: str = "l2") -> Config:
    return Config(seeds=(0, 5), look=Look(clip=CLIP, windows=windows, precision="fp32"), normalise=normalise)


@pytest.mark.parametrize("kind", ["l2", "none"])
def test_features_are_the_mean_over_windows(make_clips, make_context, tmp_path, kind: str) -> None:
    clips = make_clips(VIDEOS, frames=[9, 3, 20, 12, 5])
    folders = encoders(tmp_path, views=(Difference(), Difference()))
    context = make_context(models=folders)
    found = stage.run(config(normalise=kind), context)
    tables = load_file(context.out / "features.safetensors")
    assert set(tables) == {"s0", "s5"} and tables["s0"].shape == (5, 32)
    assert found == {"videos": 4, "windows": 3 + 1 + 3 + 2, "width": 32}
    assert not tables["s0"][3].any(), "a video of no split"

    encoder, _ = load_encoder(folders[1])
    for row in (0, 1, 2, 4):
        features = []
        for start in starts(int(clips.frames[row]), CLIP, 3):
            frames = clips.read(row, frame_numbers(int(start), int(clips.frames[row]), CLIP))
            with torch.no_grad():
                feature = (
                    encoder(normalise(evaluation_clip(frames, 16)[None], Difference()))[0].double().numpy()
                )
            features.append(feature / np.linalg.norm(feature) if kind == "l2" else feature)
        assert tables["s5"][row] == pytest.approx(np.mean(features, axis=0), abs=1e-5)
    assert (tables["s0"][0] != tables["s5"][0]).any()


def test_loader_processes_and_a_stop_change_no_bit(make_clips, make_context, tmp_path, monkeypatch) -> None:
    monkeypatch.setattr("stages.features.windows.BATCH", 2)
    monkeypatch.setattr("stages.features.windows.MOST_STEPS", 3)  # 9 windows: 5 batches, put together to 3 steps
    make_clips(VIDEOS, frames=[9, 3, 20, 12, 5])
    folders = encoders(tmp_path)
    plain = make_context(out="plain", models=folders)
    stage.run(config(), plain)
    workers = make_context(out="workers", models=folders, local=Local(device="cpu", workers=2))
    stage.run(config(), workers)

    class Killed(Checkpoints):
        def after_step(self, done, total, state, context) -> None:
            super().after_step(done, total, state, context)
            if done == 2:
                raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        stage.run(
            config(),
            make_context(out="killed", models=folders, checkpoints=Killed(tmp_path / "saved", every=1)),
        )
    read = []
    original = stage.WindowBatches.__getitem__
    monkeypatch.setattr(
        stage.WindowBatches, "__getitem__", lambda self, i: read.append(i) or original(self, i)
    )
    again = make_context(out="again", models=folders, checkpoints=Checkpoints(tmp_path / "saved", every=1))
    stage.run(config(), again)
    assert read == [4]

    files = [(c.out / "features.safetensors").read_bytes() for c in (plain, workers, again)]
    assert files[0] == files[1] == files[2]


def test_nan_features_name_the_model(make_clips, make_context, tmp_path) -> None:
    make_clips(VIDEOS)
    with pytest.raises(UserError, match=r"infonce-rgb\.s1.*4 of 4 videos are NaN"):
        stage.run(config(), make_context(models=encoders(tmp_path, broken=True)))


def test_seeds_of_different_kinds_are_refused(make_clips, make_context, tmp_path) -> None:
    make_clips(VIDEOS)
    with pytest.raises(UserError, match="different kinds"):
        stage.run(config(), make_context(models=encoders(tmp_path, views=(Rgb(), Difference()))))
