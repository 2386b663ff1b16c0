"""Pixels of whole videos at each fidelity: where they come from, and that parts make up the batch."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from stages.lofi.spec import Constant, Fidelity, Short
from stages.lofi.videos import VideoParts, batch_targets, training_rows
from stages.snippets.spec import Snippets
from stages.tal.annotations import Annotations, Instance
from stages.tal.geometry import Grid
from stages.tal.head_spec import HeadLoss
from stages.video.loader import Epochs
from stages.video.spec import Rgb
from stages.video.transforms import evaluation_clip
from stages.video.views import ViewReader

SEEN: dict[Fidelity, Snippets] = {
    "S": Snippets(count=6, frames=2, stride=3, size=8),
    "T": Snippets(count=2, frames=2, stride=3, size=16),
}
ALWAYS_S = Constant(kind="constant", fidelity="S")


@pytest.fixture
def make_parts(make_clips):
    clips = make_clips([(0, "train"), (1, "train"), (1, "train")], frames=[20, 7, 31])

    def make(at_once: int = 3, augmented: bool = False, seed: int = 0, cycle=ALWAYS_S):
        epochs = Epochs(np.arange(3), 3, 0)
        return VideoParts(ViewReader(Rgb(), clips), epochs, cycle, SEEN, at_once, augmented, seed)

    return make


@pytest.mark.parametrize("fidelity", ["S", "T"])
def test_snippets_are_those_of_the_grid(make_parts, fidelity, monkeypatch):
    monkeypatch.setattr("stages.lofi.videos.AT_ONCE", 3)
    parts, seen = make_parts(cycle=Constant(kind="constant", fidelity=fidelity)), SEEN[fidelity]
    batch, rows = parts[0], parts.epochs.at(0)[1]
    assert batch.shape == (3, seen.count, 3, 2, seen.size, seen.size) and batch.dtype == torch.uint8
    for video, row in zip(batch, rows, strict=True):
        clips = parts.reader.clips
        numbers = Grid(int(clips.frames[row]), 5.0, seen.count, 2, 3).frame_numbers()
        for snippet, frames in zip(video, numbers, strict=True):
            assert torch.equal(snippet, evaluation_clip(clips.read(row, frames), seen.size))


def test_parts_of_a_step_are_its_batch(make_parts):
    cycle = Short(kind="short", order=("S", "T"), period=1)
    for augmented in (False, True):
        whole, parts = make_parts(3, augmented, cycle=cycle), make_parts(2, augmented, cycle=cycle)
        assert parts.parts == 2
        for step in range(3):
            assert torch.equal(torch.cat([parts[2 * step], parts[2 * step + 1]]), whole[step])
    assert whole[0].shape[1] == 6 and whole[1].shape[1] == 2


def test_a_video_is_cropped_alike_in_all_of_its_frames_and_anew_each_epoch(make_parts):
    parts = make_parts(augmented=True)
    first = parts[0]
    assert torch.equal(first, make_parts(augmented=True)[0])
    assert not torch.equal(first, make_parts(augmented=True, seed=1)[0])
    order, later = parts.epochs.at(0)[1].tolist(), parts.epochs.at(1)[1].tolist()
    assert not torch.equal(first[order.index(0)], parts[1][later.index(0)])
    short = first[order.index(1)]  # 7 frames: snippets share frames, which must look the same in each
    numbers = Grid(7, 5.0, 6, 2, 3).frame_numbers()
    looks = {}
    for snippet, frames in zip(short, numbers.tolist(), strict=True):
        for place, frame in enumerate(frames):
            assert torch.equal(looks.setdefault(frame, snippet[:, place]), snippet[:, place])
    assert len(looks) < numbers.size


def test_videos_without_segments_are_left_out(make_clips):
    clips = make_clips([(0, "train"), (0, "train"), (0, "test")])
    happens = dict(zip(clips.paths, ((), (Instance(0, 1, 0),), (Instance(0, 1, 0),)), strict=True))
    annotations = Annotations(("jump",), happens, dict.fromkeys(happens, 5.0), dict.fromkeys(happens, "annotation"))
    assert training_rows(clips, annotations).tolist() == [1]


def test_targets_of_a_batch():
    halves = [np.array([[0.0, 0.5]]), np.array([[0.5, 1.0]])]
    wanted = batch_targets(halves, 4, HeadLoss(), torch.Generator().manual_seed(0), torch.device("cpu"))
    good = wanted.classification.positive.nonzero().tolist()
    assert good == [[0, 1, 0], [1, 1, 2]]  # video, duration - 1, start: two snippets from the first, and from the third
    assert wanted.iou[0, 3, 0] == 0.5 and wanted.iou.shape == (2, 4, 4)
