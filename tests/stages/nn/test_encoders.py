"""Encoders: shapes, seeds, and what they refuse."""

from __future__ import annotations

import pytest
import torch
from torchvision.models import video

from stages.nn.encoders import build_encoder
from stages.nn.spec import MvitV2, Narrow, SmallMvit, Torchvision
from stages.video.spec import Clip, Rgb

NARROW = Narrow(kind="narrow", width=4)


def width_of(spec, frames: int, size: int, channels: int = 3) -> int:
    """Width of the features of two clips; worked out on the meta device, which knows shapes and computes nothing."""
    encoder = build_encoder(spec, channels, seed=0).to("meta").eval()
    out = encoder(torch.empty(2, channels, frames, size, size, device="meta"))
    assert out.shape == (2, encoder.features)
    return encoder.features


@pytest.mark.parametrize(
    "spec, frames, size, width",
    [
        (NARROW, 8, 48, 32),
        (NARROW, 1, 9, 32),
        (Torchvision(kind="s3d"), 5, 17, 1024),
        (Torchvision(kind="s3d"), 32, 128, 1024),
        (MvitV2(kind="mvit_v2_s"), 8, 64, 768),
        (SmallMvit(kind="mvit_small", width=8), 4, 32, 32),
        (Torchvision(kind="r3d_18"), 2, 16, 512),
        (Torchvision(kind="r2plus1d_18"), 2, 16, 512),
    ],
    ids=lambda v: getattr(v, "kind", v),
)
def test_one_vector_a_clip(spec, frames, size, width):
    assert width_of(spec, frames, size) == width


@pytest.mark.parametrize(
    "spec",
    [NARROW, Torchvision(kind="s3d"), Torchvision(kind="r3d_18"), SmallMvit(kind="mvit_small")],
    ids=lambda s: s.kind,
)
def test_other_channels(spec):
    assert width_of(spec, 6, 20, channels=2) > 0


def test_the_seed_alone_decides_and_the_global_generator_is_left_alone():
    torch.manual_seed(3)
    expected = torch.rand(4)
    torch.manual_seed(3)
    first = build_encoder(NARROW, 3, seed=1).state_dict()
    assert torch.equal(torch.rand(4), expected)
    again, other = build_encoder(NARROW, 3, seed=1).state_dict(), build_encoder(NARROW, 3, seed=2).state_dict()
    assert all(torch.equal(first[k], again[k]) for k in first)
    assert not torch.equal(first["body.0.0.weight"], other["body.0.0.weight"])


def test_a_clip_does_not_depend_on_its_batch():
    encoder = build_encoder(NARROW, 3, seed=0).eval()
    clips = torch.randn(3, 3, 4, 16, 16)
    torch.testing.assert_close(encoder(clips)[1:2], encoder(clips[1:2]))


@pytest.mark.parametrize("kind, size", [("s3d", 224), ("r3d_18", 16)])
def test_torchvisions_network_as_it_is(kind, size):
    """The same weights in torchvision's own model give the same answer from the features on."""
    encoder = build_encoder(Torchvision(kind=kind), 3, seed=0).eval()
    original = getattr(video, kind)().eval()
    classifier = {k: v for k, v in original.state_dict().items() if k.startswith(("classifier.", "fc."))}
    original.load_state_dict(encoder.body.state_dict() | classifier)
    clip = torch.randn(1, 3, 14, size, size)
    with torch.no_grad():
        last = original.classifier[1] if kind == "s3d" else original.fc
        weight = last.weight.flatten(1)
        torch.testing.assert_close(encoder(clip) @ weight.T + last.bias, original(clip), rtol=1e-4, atol=1e-5)


def test_batch_statistics_of_s3d_follow_a_short_training():
    norms = [m for m in build_encoder(Torchvision(kind="s3d"), 3, seed=0).modules() if isinstance(m, torch.nn.BatchNorm3d)]
    assert {(m.momentum, m.eps) for m in norms} == {(0.1, 1e-3)}


@pytest.mark.parametrize(
    "spec, clip, words",
    [
        (SmallMvit(kind="mvit_small"), Clip(frames=5, size=32), "an even number of frames and a multiple of 4 pixels"),
        (SmallMvit(kind="mvit_small", patch=8), Clip(frames=4, size=36), "a multiple of 8 pixels"),
        (Torchvision(kind="s3d"), Clip(frames=4, size=128), "5 frames and 17 pixels"),
        (Torchvision(kind="s3d"), Clip(frames=8, size=16), "5 frames and 17 pixels"),
    ],
)
def test_what_cannot_work_is_said_before_it_runs(spec, clip, words):
    assert words in spec.refuses(clip, Rgb())
    with pytest.raises((RuntimeError, ValueError)):
        width_of(spec, clip.frames, clip.size)


def test_what_works_is_not_refused():
    assert NARROW.refuses(Clip(frames=1, size=8), Rgb()) is None
    assert Torchvision(kind="s3d").refuses(Clip(frames=32, size=128), Rgb()) is None
    assert MvitV2(kind="mvit_v2_s").refuses(Clip(frames=8, size=112), Rgb()) is None


@pytest.mark.parametrize("kind", ["s3d", "r3d_18"])
def test_eps_of_batch_norm_can_be_chosen(kind):
    norms = [
        m
        for m in build_encoder(Torchvision(kind=kind, bn_eps=1e-4), 3, seed=0).modules()
        if isinstance(m, torch.nn.BatchNorm3d)
    ]
    assert norms and {m.eps for m in norms} == {1e-4}


@pytest.mark.parametrize("width", [16, 64])
def test_the_small_transformers_weights_are_as_large_as_its_width_asks_for(width):
    body = build_encoder(SmallMvit(kind="mvit_small", width=width), 3, seed=0).body
    layers = [module for module in body.blocks.modules() if isinstance(module, torch.nn.Linear)]
    for layer in layers:
        assert layer.weight.std().item() * layer.in_features**0.5 == pytest.approx(0.02 * 768**0.5, rel=0.15)
    assert len(layers) == 5 * 4 + 2  # queries with keys and values, projection, two of the MLP; two changes of width
