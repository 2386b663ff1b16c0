"""Batched colour operations against torchvision's, clip by clip."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torchvision.transforms.v2 import functional as F

from stages.video import colour
from stages.video.augment import STRONG, Colour, draw
from stages.video.colour import blur_reach, recolour

TOLERANCE = 5e-6
"""Of values in [0, 1]: a fiftieth of a thousandth of a grey level of 8 bits; what the order of additions leaves."""


def torchvision(clip: torch.Tensor, c: Colour) -> torch.Tensor:
    """float [3, T, S, S] -> the same, by torchvision's own functions."""
    frames, size = clip.permute(1, 0, 2, 3), clip.shape[-1]
    steps = (F.adjust_brightness, F.adjust_contrast, F.adjust_saturation, F.adjust_hue)
    for number in c.order if c.factors else ():
        frames = steps[number](frames, c.factors[number])
    if c.grey is not None:
        frames = frames[:, c.grey : c.grey + 1].expand(-1, 3, -1, -1)
    if c.sigma is not None:
        frames = F.gaussian_blur(frames, [2 * blur_reach(size) + 1] * 2, [c.sigma * size / 128] * 2)
    return frames.permute(1, 0, 2, 3)


def clips(n: int, size: int = 20) -> torch.Tensor:
    return torch.randint(0, 256, (n, 3, 4, size, size), dtype=torch.uint8, generator=torch.Generator().manual_seed(n))


def expected(batch: torch.Tensor, colours: list[Colour]) -> torch.Tensor:
    return torch.stack([torchvision(clip, c) for clip, c in zip(batch.float() / 255, colours)])


@pytest.mark.parametrize("size", [16, 20, 33, 128])
def test_equal_to_torchvision(size):
    colours = [draw(STRONG, np.random.default_rng(i)).colour for i in range(12)]
    batch = clips(12, size)
    torch.testing.assert_close(recolour(batch, colours), expected(batch, colours), rtol=0, atol=TOLERANCE)


@pytest.mark.parametrize(
    "one",
    [
        Colour(factors=(1.4, 1.0, 1.0, 0.0)),
        Colour(factors=(1.0, 0.6, 1.0, 0.0)),
        Colour(factors=(1.0, 1.0, 1.3, 0.0)),
        Colour(factors=(1.0, 1.0, 1.0, 0.1)),
        Colour(factors=(1.0, 1.0, 1.0, -0.45)),
        Colour(grey=2),
        Colour(sigma=0.1),
        Colour(sigma=2.0),
    ],
    ids=["brightness", "contrast", "saturation", "hue", "hue-far", "grey", "blur-little", "blur-much"],
)
def test_each_operation_alone(one):
    batch = clips(2)
    torch.testing.assert_close(recolour(batch, [one, Colour()]), expected(batch, [one, Colour()]), rtol=0, atol=TOLERANCE)


def test_pure_and_grey_colours_turn_as_in_torchvision():
    corners = torch.tensor([[r, g, b] for r in (0, 255) for g in (0, 255) for b in (0, 255)], dtype=torch.uint8)
    batch = corners.T.reshape(1, 3, 1, 2, 4)
    turn = [Colour(factors=(1.0, 1.0, 1.0, 1 / 3), order=(3, 0, 1, 2))]
    out = recolour(batch, turn)
    torch.testing.assert_close(out, expected(batch, turn), rtol=0, atol=TOLERANCE)
    red = out[0, :, 0].reshape(3, 8)[:, 4]  # (255, 0, 0), a third of the circle on
    torch.testing.assert_close(red, torch.tensor([0.0, 1.0, 0.0]), rtol=0, atol=1e-6)


def test_together_as_on_a_gpu_and_one_by_one_as_on_a_cpu_are_the_same():
    colours = [draw(STRONG, np.random.default_rng(i)).colour for i in range(16)]
    batch = clips(16)
    together = batch.float() / 255
    colour._recolour_group(together, list(range(16)), colours)
    torch.testing.assert_close(together, recolour(batch, colours), rtol=0, atol=1e-6)


def test_without_colours_it_only_scales():
    batch = clips(2)
    out = recolour(batch, [Colour(), Colour()])
    assert torch.equal(out, batch.float() / 255)


def test_the_input_is_left_as_it_was():
    batch = clips(2).float() / 255
    before = batch.clone()
    recolour(batch, [Colour(grey=0), Colour(sigma=1.0)])
    assert torch.equal(batch, before)


def test_the_same_change_in_all_frames():
    still = clips(1)[:, :, :1].expand(-1, -1, 4, -1, -1)
    out = recolour(still, [draw(STRONG, np.random.default_rng(0)).colour])
    assert torch.equal(out, out[:, :, :1].expand_as(out))


def test_blur_is_as_strong_relative_to_the_clip_at_any_size():
    assert (blur_reach(128), blur_reach(64), blur_reach(8)) == (6, 3, 1)
