"""Augmented training batches of classifiers."""

from __future__ import annotations

import torch

from stages.classify.batches import TrainBatches
from stages.classify.spec import Augmentation
from stages.video.loader import Epochs
from stages.video.spec import Clip, Rgb
from stages.video.views import ViewReader

CLIP = Clip(frames=2, size=16)
VIDEOS = [(c, "test" if i % 3 == 0 else "train") for i in range(6) for c in range(2)]


def test_batches_show_each_video_once_an_epoch_and_do_not_depend_on_the_past(make_clips) -> None:
    clips = make_clips(VIDEOS)
    rows = clips.split("train")
    batches = TrainBatches(ViewReader(Rgb(), clips), CLIP, Epochs(rows, 4, 3), 7)
    shown = [batches[step] for step in range(4)]
    for epoch in (shown[:2], shown[2:]):
        assert sorted(torch.cat([b[2] for b in epoch]).tolist()) == rows.tolist()
    again = batches[2]
    assert torch.equal(again[0], shown[2][0]) and again[1] == shown[2][1]
    assert shown[0][0].shape == (4, 3, 2, 16, 16) and shown[0][0].dtype == torch.uint8
    assert not torch.equal(
        shown[0][0], TrainBatches(ViewReader(Rgb(), clips), CLIP, Epochs(rows, 4, 3), 8)[0][0]
    )


def test_three_clips_in_ten_are_jittered(make_clips) -> None:
    clips = make_clips([(0, "train")] * 100, frames=2, size=(8, 8))
    batches = TrainBatches(
        ViewReader(Rgb(), clips), Clip(frames=1, size=8), Epochs(clips.split("train"), 100, 0), 1
    )
    jittered = sum(colour.factors is not None for step in range(4) for colour in batches[step][1])
    assert 90 <= jittered <= 150
    assert all(colour.grey is None and colour.sigma is None for colour in batches[0][1])


def test_what_is_erased_becomes_noise_of_the_views_statistics(make_clips) -> None:
    clips = make_clips([(0, "train")] * 8, frames=2, size=(64, 64))
    rows, clip = clips.split("train"), Clip(frames=2, size=64)
    red = Rgb(mean=(0.9, 0.1, 0.1), deviation=(0.001, 0.001, 0.001))
    reader = ViewReader(red, clips)
    pixels = TrainBatches(reader, clip, Epochs(rows, 8, 0), 1, Augmentation(erase_share=1.0))[0][0]
    noise = (pixels.float() / 255 - torch.tensor(red.mean).view(3, 1, 1, 1)).abs().amax(1) < 0.01
    assert (noise.float().mean((1, 2, 3)) > 0.015).all()  # an erased rectangle is a fiftieth of the picture at least
