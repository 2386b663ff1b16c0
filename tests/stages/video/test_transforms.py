"""Cropping to size and normalising, against plain arithmetic."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, strategies as st

from stages.video.augment import Augmentation, Colour, Crop
from stages.video.flow_bytes import to_bytes
from stages.video.flow_spec import Flow
from stages.video.spec import IMAGENET_DEVIATION, IMAGENET_MEAN, Difference, Rgb
from stages.video.transforms import (
    FLOW_UNIT, denormalise, evaluation_clip, mirrored, normalise, recoloured, training_clip,
)  # fmt: skip


def frames(count: int, height: int, width: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (count, height, width, 3), dtype=np.uint8)


def augmentation(area: float = 0.25, down: float = 0.0, right: float = 0.0, flip: bool = False) -> Augmentation:
    return Augmentation(Crop((area,), (1.0,), down, right), flip, Colour())


def as_clip(video: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(video.copy()).permute(3, 0, 1, 2)


def test_evaluation_keeps_the_middle_of_the_long_side():
    video = frames(3, 20, 30)
    assert torch.equal(evaluation_clip(video, 20), as_clip(video[:, :, 5:25]))
    high = frames(3, 31, 20)
    assert torch.equal(evaluation_clip(high, 20), as_clip(high[:, 5:25]))


@given(st.integers(1, 70), st.integers(1, 70), st.integers(8, 40))
def test_any_size_becomes_the_size_of_the_clip(height, width, size):
    clip = evaluation_clip(frames(2, height, width), size)
    assert clip.shape == (3, 2, size, size) and clip.dtype == torch.uint8 and clip.is_contiguous()


def test_a_flat_picture_stays_flat_and_a_ramp_stays_a_ramp():
    assert (evaluation_clip(np.full((1, 50, 70, 3), 77, np.uint8), 16) == 77).all()
    ramp = np.broadcast_to(np.arange(0, 240, 5, dtype=np.uint8)[None, None, :, None], (1, 48, 48, 3))
    row = evaluation_clip(ramp, 12)[0, 0, 5].float()
    assert (row.diff()[1:-1] - 20).abs().max() <= 1  # 48 to 12 pixels: 4 * 5 a step


def test_the_training_crop_is_where_the_parameters_say():
    video = frames(2, 40, 40)  # a quarter of the area: 20 by 20 pixels, not scaled
    assert torch.equal(training_clip(video, augmentation(), 20, Rgb()), as_clip(video[:, :20, :20]))
    corner = augmentation(down=0.999, right=0.999)
    assert torch.equal(training_clip(video, corner, 20, Rgb()), as_clip(video[:, 20:, 20:]))


def test_a_flip_mirrors_every_frame():
    video = frames(3, 40, 40)
    plain, flipped = (training_clip(video, augmentation(flip=f), 16, Rgb()) for f in (False, True))
    assert torch.equal(flipped, plain.flip(-1)) and not torch.equal(flipped, plain)


def test_frames_that_may_not_be_written_are_fine(recwarn):
    video = frames(1, 10, 10)
    video.setflags(write=False)
    before = video.copy()
    training_clip(video, augmentation(area=1.0), 8, Rgb())
    assert not recwarn.list and (video == before).all()


def test_rgb_by_hand():
    clip = torch.tensor([255, 0, 51], dtype=torch.uint8).view(1, 3, 1, 1, 1)
    expected = [(v - m) / s for v, m, s in zip((1.0, 0.0, 0.2), IMAGENET_MEAN, IMAGENET_DEVIATION)]
    assert normalise(clip, Rgb()).flatten().tolist() == pytest.approx(expected, rel=1e-5)
    assert torch.equal(normalise(clip.float() / 255, Rgb()), normalise(clip, Rgb()))


def test_statistics_of_ones_own_by_hand():
    slowfast = Rgb(mean=(0.45, 0.45, 0.45), deviation=(0.225, 0.225, 0.225))
    clip = torch.tensor([255, 0, 51], dtype=torch.uint8).view(1, 3, 1, 1, 1)
    seen = normalise(clip, slowfast)
    assert seen.flatten().tolist() == pytest.approx([0.55 / 0.225, -2.0, -0.25 / 0.225], rel=1e-5)
    assert torch.equal(denormalise(seen, slowfast), clip)


def test_differences_by_hand():
    clip = torch.tensor([0.1, 0.3, 0.2]).view(1, 1, 3, 1, 1).expand(1, 3, 3, 1, 1)
    out = normalise(clip, Difference())[0, 0].flatten().tolist()
    assert out == pytest.approx([step / IMAGENET_DEVIATION[0] for step in (0.2, 0.2, -0.1)], rel=1e-5)


def test_a_still_video_has_no_difference_and_neither_has_one_frame():
    still = torch.full((2, 3, 4, 5, 5), 9, dtype=torch.uint8)
    assert not normalise(still, Difference()).any()
    assert normalise(still[:, :, :1], Difference()).shape == (2, 3, 1, 5, 5)


def test_pictures_of_a_view():
    clip = torch.randint(0, 256, (2, 3, 4, 5, 5), dtype=torch.uint8)
    assert torch.equal(denormalise(normalise(clip, Rgb()), Rgb()), clip)
    still = torch.zeros(1, 3, 2, 2, 2, dtype=torch.uint8)
    assert (denormalise(normalise(still, Difference()), Difference()) == 128).all()


FLOW = Flow(kind="flow", bound=20.0)
FAITHFUL = Flow(kind="flow", bound=20.0, faithful=True)


def flow_frames(u: float, v: float, count: int = 2, side: int = 12) -> np.ndarray:
    return to_bytes(np.broadcast_to(np.array([u, v], np.float32), (count, side, side, 2)), 20.0)


def test_flow_is_seen_in_units_of_pixels():
    clip = evaluation_clip(flow_frames(20.0, -10.0), 8)
    u, v = normalise(clip[None], FLOW)[0, :, 0, 0, 0].tolist()
    assert u == pytest.approx(20 / FLOW_UNIT, rel=1e-5)
    assert v == pytest.approx(-10 / FLOW_UNIT, abs=0.5 * 20 / 127 / FLOW_UNIT)
    assert not normalise(evaluation_clip(flow_frames(0, 0), 8)[None], FLOW).any()


@given(st.floats(-30, 30), st.floats(-30, 30))
def test_a_mirror_turns_u_and_leaves_v(u, v):
    clip = evaluation_clip(flow_frames(u, v), 8)
    seen, mirror = normalise(clip[None], FLOW), normalise(mirrored(clip, FLOW)[None], FLOW)
    assert torch.equal(mirror[:, 0], -seen[:, 0]) and torch.equal(mirror[:, 1], seen[:, 1])


def test_a_mirror_moves_the_field_too_and_returns_on_the_second_look():
    video = np.random.default_rng(0).integers(1, 256, (3, 16, 16, 2), dtype=np.uint8)
    clip = as_clip(video)
    assert torch.equal(mirrored(clip, FLOW)[1], clip[1].flip(-1))
    assert torch.equal(mirrored(mirrored(clip, FLOW), FLOW), clip)


def test_overshoot_below_the_range_stays_an_extreme_when_mirrored():
    clip = torch.zeros(2, 1, 2, 2, dtype=torch.uint8)
    assert (mirrored(clip, FLOW)[0] == 255).all()


def test_faithful_flow_is_treated_like_a_picture():
    video = np.random.default_rng(0).integers(0, 256, (2, 8, 8, 3), dtype=np.uint8)
    assert torch.equal(mirrored(as_clip(video), FAITHFUL), as_clip(video).flip(-1))
    assert torch.equal(normalise(as_clip(video)[None], FAITHFUL), normalise(as_clip(video)[None], Rgb()))
    assert recoloured(FAITHFUL) and recoloured(Rgb()) and not recoloured(FLOW)


def test_a_picture_of_flow_has_three_channels_and_is_white_at_rest():
    still = denormalise(normalise(evaluation_clip(flow_frames(0, 0), 8)[None], FLOW), FLOW)
    assert still.shape == (1, 3, 2, 8, 8) and still.dtype == torch.uint8 and (still == 255).all()
    moving = denormalise(normalise(evaluation_clip(flow_frames(5, 0), 8)[None], FLOW), FLOW)
    assert (moving[:, 0] > moving[:, 2]).all()  # to the right is red in the standard wheel
