"""Targets: the layout of a vector worked by hand, teachers, what a constant reaches."""

from __future__ import annotations

import math

import pytest
import torch
from skimage.data import astronaut, coffee
from torch import nn

from engine.errors import UserError
from stages.maskfeat.hog import hog
from stages.maskfeat.target_spec import FeatureTarget, HogTarget, NormalisedPixelTarget, PixelTarget
from stages.maskfeat.targets import FeatureMap, Targets, constant_loss, feature_targets, mask_on_grid
from stages.nn.encoders import VideoEncoder, build_encoder
from stages.nn.spec import Narrow, Torchvision, TsmResnet

CLIP, GRID = (4, 32, 48), (2, 2, 3)
KINDS = [
    HogTarget(),
    HogTarget(frames="all"),
    HogTarget(cell=4, bins=6),
    PixelTarget(kind="pixel"),
    PixelTarget(kind="pixel", frames="all"),
    NormalisedPixelTarget(kind="normalised_pixel"),
]


def clips(count: int = 2, clip: tuple[int, int, int] = CLIP) -> torch.Tensor:
    return torch.randn(count, 3, *clip, generator=torch.Generator().manual_seed(count))


@pytest.mark.parametrize("spec, width", list(zip(KINDS, (108, 216, 288, 768, 1536, 768))))
def test_shapes(spec, width):
    targets = Targets(spec, CLIP, GRID)
    made = targets(clips())
    assert targets.width == width and made.shape == (2, *GRID, width) and made.dtype == torch.float32
    assert torch.equal(made[1], targets(clips()[1:])[0])  # nothing depends on the batch
    assert torch.equal(made, targets(clips().to(memory_format=torch.channels_last_3d)))


def test_width_at_the_sheets_strides():
    assert [HogTarget().width(2, side) for side in (8, 16, 32)] == [27, 108, 432]


def test_hog_is_ordered_by_colour_bin_row_column():
    batch = clips()
    for which, frames in (("centre", [2]), ("all", [2, 3])):
        vector = Targets(HogTarget(frames=which), CLIP, GRID)(batch)[1, 1, 1, 2].view(len(frames), 3, 9, 2, 2)
        for i, frame in enumerate(frames):
            for colour in range(3):
                cells = hog(batch[1, colour, frame])  # [9, 4, 6]: rows 2 and 3, columns 4 and 5 are the token's
                assert torch.equal(vector[i, colour], cells[:, 2:4, 4:6])


def test_one_edge_stands_at_one_place():
    clip = torch.zeros(1, 3, 2, 16, 16)
    clip[0, 1, 0, :8, 12:] = 1  # green, first frame: a vertical edge in the upper right cell (and its lower end)
    vector = Targets(HogTarget(), (2, 16, 16), (1, 1, 1))(clip).flatten()
    colour, number, row, column = 1, 4, 0, 1
    assert vector.argmax() == ((colour * 9 + number) * 2 + row) * 2 + column
    assert vector[:36].eq(0).all() and vector[72:].eq(0).all()


def test_pixels_are_ordered_by_frame_row_column_colour():
    t, y, x, c = torch.meshgrid(*(torch.arange(n) for n in (4, 4, 6, 3)), indexing="ij")
    clip = (1000 * t + 100 * y + 10 * x + c).permute(3, 0, 1, 2)[None].float()
    centre = Targets(PixelTarget(kind="pixel"), (4, 4, 6), (2, 2, 3))(clip)[0, 1, 1, 2]
    assert centre.tolist() == [2240, 2241, 2242, 2250, 2251, 2252, 2340, 2341, 2342, 2350, 2351, 2352]
    both = Targets(PixelTarget(kind="pixel", frames="all"), (4, 4, 6), (2, 2, 3))(clip)[0, 1, 1, 2]
    assert both.tolist() == centre.tolist() + (centre + 1000).tolist()


def test_normalised_pixels_by_hand():
    clip = torch.zeros(1, 3, 2, 2, 2)
    clip[0, :, 0] = torch.arange(12.0).view(2, 2, 3).permute(2, 0, 1)  # in the vector's order: 0, 1, ... 11
    vector = Targets(NormalisedPixelTarget(kind="normalised_pixel"), (2, 2, 2), (1, 1, 1))(clip).flatten()
    assert vector.tolist() == pytest.approx([(i - 5.5) / math.sqrt(13 + 1e-6) for i in range(12)], abs=1e-6)
    flat = Targets(NormalisedPixelTarget(kind="normalised_pixel"), (2, 2, 2), (1, 1, 1))(torch.ones(1, 3, 2, 2, 2))
    assert flat.eq(0).all()


def test_a_constant_reaches_five_hundredths_on_photos():
    photos = [
        torch.from_numpy(p[:384, :384].copy()).permute(2, 0, 1).float().div(255).sub(0.45).div(0.225)
        for p in (astronaut(), coffee())
    ]
    clip = torch.stack([photo[:, None].repeat(1, 2, 1, 1) for photo in photos])
    vectors = Targets(HogTarget(), (2, 384, 384), (1, 24, 24))(clip).flatten(0, -2)
    assert vectors.square().mean() == pytest.approx(1 / 9, rel=0.02)  # one cell in fifty is flat at most
    assert 0.04 < constant_loss(vectors) < 0.06  # of at most 1/9


def test_constant_loss_is_what_the_mean_leaves():
    vectors = torch.tensor([[0.0, 1.0], [2.0, 1.0], [4.0, 4.0]])
    assert constant_loss(vectors) == pytest.approx((8 / 3 + 2) / 2)
    assert constant_loss(vectors[:1]) == 0 and constant_loss(vectors[:0]) == 0


def test_a_mask_covers_all_tokens_of_its_cells():
    mask = torch.zeros(1, 2, 2, 2, dtype=torch.bool)
    mask[0, 1, 0, 1] = True
    fine = mask_on_grid(mask, (2, 4, 6))
    assert fine.sum() == 6 and fine[0, 1, :2, 3:].all()
    with pytest.raises(AssertionError, match="7 tokens are no whole cells of a mask of 2"):
        mask_on_grid(mask, (2, 4, 7))


@pytest.mark.parametrize(
    "spec",
    [
        Narrow(kind="narrow", width=4),
        Torchvision(kind="r3d_18"),
        Torchvision(kind="s3d"),
        TsmResnet(kind="tsm_resnet18"),
    ],
    ids=lambda s: s.kind,
)
def test_the_map_of_a_convolutional_teacher_is_what_it_averages(spec):
    teacher = build_encoder(spec, 3, 0).eval()
    clip = (16, 32, 32) if spec.kind == "s3d" else (4, 32, 32)
    feature_map = FeatureMap(teacher, clip)
    batch = clips(2, clip)
    maps = feature_map(batch)
    assert maps.ndim == 5 and maps.shape[:2] == (2, feature_map.width)
    assert torch.allclose(maps.mean((2, 3, 4)), teacher(batch), atol=1e-4)
    assert not any(module._forward_hooks for module in teacher.modules())
    assert not maps.requires_grad
    targets = Targets(FeatureTarget(kind="features", model="a"), clip, (clip[0] // 2, 2, 2), teacher)
    vectors = targets(batch)
    assert vectors.shape == (2, clip[0] // 2, 2, 2, targets.width)
    assert torch.allclose(vectors.norm(dim=-1), torch.ones(()), atol=1e-5)


class WithTokens(VideoEncoder):
    """An encoder whose tokens are the mean colours of 2 x 16 x 16 pixels."""

    def __init__(self) -> None:
        super().__init__(nn.Identity(), 3)

    def tokens(self, clips: torch.Tensor, mask: torch.Tensor | None) -> torch.Tensor:
        assert mask is None
        return nn.functional.avg_pool3d(clips, (2, 16, 16)).movedim(1, -1)


def test_a_teacher_with_tokens_gives_them():
    made = Targets(FeatureTarget(kind="features", model="a"), CLIP, GRID, WithTokens())(clips())
    mean = clips()[1, :, 2:4, 16:, 32:].mean((1, 2, 3))
    assert torch.allclose(made[1, 1, 1, 2], mean / mean.norm(), atol=1e-6)


def test_maps_are_averaged_down_and_interpolated_up():
    maps = torch.zeros(1, 2, 1, 4, 2)
    maps[0, 0], maps[0, 1] = torch.tensor([[1.0], [3.0], [0.0], [0.0]]), torch.tensor([[0.0], [0.0], [5.0], [5.0]])
    vectors = feature_targets(maps, (3, 2, 2))
    assert vectors.shape == (1, 3, 2, 2, 2)
    assert torch.allclose(vectors[0, :, 0], torch.tensor([1.0, 0.0])) and torch.allclose(
        vectors[0, :, 1], torch.tensor([0.0, 1.0])
    )
    between = feature_targets(maps[:, :, :, 1:3], (1, 4, 2))[
        0, 0, :, 0
    ]  # a quarter of the way: (2.25, 1.25) of length 2.574
    assert between[1].tolist() == pytest.approx([2.25 / 2.57391, 1.25 / 2.57391], abs=1e-4)


def test_what_is_refused():
    with pytest.raises(UserError, match="target hog: a token covers 4 x 4 pixels"):
        Targets(HogTarget(), (2, 8, 8), (1, 2, 2))
    with pytest.raises(UserError, match="2 x 3 x 3 tokens do not tile a clip of 4 x 32 x 48"):
        Targets(HogTarget(), CLIP, (2, 3, 3))
    with pytest.raises(UserError, match="tokens of 32 x 16 pixels: targets need square ones"):
        Targets(HogTarget(), CLIP, (2, 1, 3))
    with pytest.raises(UserError, match="averages no feature map"):
        FeatureMap(VideoEncoder(nn.Sequential(nn.Flatten(), nn.Linear(96, 5)), 5), (2, 4, 4))
