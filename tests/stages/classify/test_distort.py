"""RandAugment, random erasing, mixup and CutMix of clips."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from stages.classify.distort import erase, rand_augment
from stages.classify.mixing import Mixer
from stages.classify.spec import Mix, RandAugment
from stages.video.spec import Rgb
from stages.video.transforms import statistics

STATISTICS = statistics(Rgb())


def clip(frames: int = 3, height: int = 24, width: int = 20) -> torch.Tensor:
    noise = np.random.default_rng(0).integers(0, 256, (3, frames, height, width), np.uint8)
    return torch.from_numpy(noise)


def still(frames: int = 3) -> torch.Tensor:
    """All frames alike."""
    return clip(1).repeat(1, frames, 1, 1)


@given(st.integers(0, 10_000))
@settings(max_examples=60, deadline=None)
def test_frames_stay_alike_and_a_seed_gives_the_same(seed):
    spec = RandAugment(kind="rand_augment")
    state = torch.get_rng_state()
    made = rand_augment(still(), spec, STATISTICS, np.random.default_rng(seed))
    assert made.shape == still().shape and made.dtype == torch.uint8
    assert all(torch.equal(made[:, 0], made[:, t]) for t in range(3))
    torch.rand(3)
    assert torch.equal(made, rand_augment(still(), spec, STATISTICS, np.random.default_rng(seed)))
    torch.set_rng_state(state)


def test_distortions_differ_and_grow_with_the_magnitude():
    def moved(magnitude: float) -> float:
        spec = RandAugment(kind="rand_augment", magnitude=magnitude, deviation=0.0)
        made = [rand_augment(clip(), spec, STATISTICS, np.random.default_rng(seed)).float() for seed in range(60)]
        return float(np.mean([(m - clip().float()).abs().mean() for m in made]))

    assert moved(0.0) < moved(4.0) < moved(10.0)
    spec = RandAugment(kind="rand_augment")
    made = [rand_augment(clip(), spec, STATISTICS, np.random.default_rng(seed)) for seed in range(20)]
    assert len({m.numpy().tobytes() for m in made}) > 10


def test_the_global_generator_is_left_alone():
    torch.manual_seed(5)
    expected = torch.rand(4)
    torch.manual_seed(5)
    rand_augment(clip(), RandAugment(kind="rand_augment"), STATISTICS, np.random.default_rng(0))
    Mixer(Mix(), 3, 0)(0, torch.rand(4, 3, 2, 8, 8), torch.tensor([0, 1, 2, 0]))
    torch.manual_seed(5)
    Mixer(Mix(), 3, 0)(0, torch.zeros(4, 3, 2, 8, 8), torch.tensor([0, 1, 2, 0]))
    assert torch.equal(torch.rand(4), expected)


@given(st.integers(0, 10_000))
@settings(max_examples=60, deadline=None)
def test_one_rectangle_becomes_noise_in_all_frames(seed):
    before = clip(4, 32, 32)
    after = erase(before, STATISTICS, np.random.default_rng(seed))
    changed = (after != before).any(0)  # [T, H, W]
    assert torch.equal(before, clip(4, 32, 32))
    where = changed.any(0)
    rows, columns = where.any(1).nonzero().squeeze(1), where.any(0).nonzero().squeeze(1)
    height, width = int(rows[-1] - rows[0]) + 1, int(columns[-1] - columns[0]) + 1
    assert 0.01 * 1024 < height * width < 0.36 * 1024
    inside = changed[:, rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    assert inside.float().mean() > 0.9  # noise may hit the old value
    assert not torch.equal(after[:, 0], after[:, 1])


def mixed(cutmix_share: float, steps: int = 40) -> list[tuple[torch.Tensor, torch.Tensor]]:
    """Four clips, each of one value: 0, 1, 10, 100."""
    values = torch.tensor([0.0, 1.0, 10.0, 100.0])
    clips = values.view(4, 1, 1, 1, 1).expand(4, 3, 2, 16, 16).contiguous()
    mixer = Mixer(Mix(cutmix_share=cutmix_share), 4, seed=3)
    return [mixer(step, clips, torch.arange(4)) for step in range(steps)]


def test_mixup_lays_neighbours_over_each_other_by_their_labels():
    shares = []
    for clips, labels in mixed(0.0):
        assert clips.shape == (4, 3, 2, 16, 16) and type(clips) is torch.Tensor
        values = torch.tensor([0.0, 1.0, 10.0, 100.0])
        assert torch.allclose(labels.sum(1), torch.ones(4))
        expected = (labels @ values).view(4, 1, 1, 1, 1).expand_as(clips)
        assert torch.allclose(clips, expected, atol=1e-4)
        assert all(int((row > 0).sum()) <= 2 for row in labels)
        shares.append(float(labels[0, 0]))
    assert len(set(shares)) > 20 and 0.3 < np.mean(shares) < 0.7


def test_cutmix_cuts_the_same_window_out_of_all_frames_and_counts_pixels():
    for clips, labels in mixed(1.0):
        assert torch.equal(clips[:, :, 0], clips[:, :, 1])
        own = torch.tensor([0.0, 1.0, 10.0, 100.0])
        for i in range(4):
            kept = (clips[i, 0, 0] == own[i]).float().mean().item()
            assert labels[i, i].item() == pytest.approx(kept, abs=1e-6)


def test_some_batches_are_cut_and_some_are_laid_over():
    cut = [bool((clips[1, 0, 0] == 1.0).any()) for clips, _ in mixed(0.5)]
    assert 5 < sum(cut) < 35
    again = [clips for clips, _ in mixed(0.5)]
    assert all(torch.equal(a, b) for a, (b, _) in zip(again, mixed(0.5)))


def test_noise_has_the_statistics_of_the_view():
    view = Rgb(mean=(0.2, 0.45, 0.6), deviation=(0.05, 0.1, 0.02))
    black = torch.zeros(3, 4, 64, 64, dtype=torch.uint8)
    after = erase(black, statistics(view), np.random.default_rng(0)).float() / 255
    noise = after[:, after.amax((0, 1))[None].expand(4, -1, -1) > 0]
    assert noise.mean(1).tolist() == pytest.approx(view.mean, abs=0.01)
    assert noise.std(1).tolist() == pytest.approx(view.deviation, abs=0.01)
