"""TSM ResNets: the shift by hand, no leak between clips, and torchvision's weights."""

from __future__ import annotations

import hashlib
import json

import pytest
import torch
from torchvision.models import resnet18, resnet50

from engine.errors import UserError
from stages.nn.encoders import build_encoder
from stages.nn.frozen_norm import freeze_norms
from stages.nn.precision import numbers
from stages.nn.spec import Card, TsmResnet
from stages.nn.tsm import ShiftedBasicBlock, ShiftedBottleneck, TsmResNet, temporal_shift
from stages.nn.weights import load_encoder, save_encoder
from stages.study import Study
from stages.video.spec import Clip, Difference, Rgb

R18, R34, R50 = (TsmResnet(kind=f"tsm_resnet{depth}") for depth in (18, 34, 50))


def test_the_shift_by_hand():
    """Two clips of three frames, eight channels, one pixel: channel 0 from the next frame, 1 from the previous one."""
    value = torch.arange(6 * 8).reshape(6, 8, 1, 1).float()  # channel c of frame t is 8 t + c
    shifted = temporal_shift(value, 3)[:, :, 0, 0]
    assert shifted[:, 0].tolist() == [8, 16, 0, 32, 40, 0]
    assert shifted[:, 1].tolist() == [0, 1, 9, 0, 25, 33]
    assert torch.equal(shifted[:, 2:], value[:, 2:, 0, 0])


def naive_shift(maps: torch.Tensor, frames: int) -> torch.Tensor:
    out = maps.clone()
    part = maps.shape[1] // 8
    for i in range(len(maps)):
        first, last = i % frames == 0, i % frames == frames - 1
        out[i, :part] = 0 if last else maps[i + 1, :part]
        out[i, part : 2 * part] = 0 if first else maps[i - 1, part : 2 * part]
    return out


@pytest.mark.parametrize("frames", [1, 2, 4, 8])
@pytest.mark.parametrize("channels", [4, 8, 20, 64])
def test_the_shift_and_its_gradient_against_a_loop(frames, channels):
    maps = torch.randn(8, channels, 2, 3, dtype=torch.double, requires_grad=True)
    weight = torch.randn(8, channels, 2, 3, dtype=torch.double)
    naive = naive_shift(maps, frames)
    assert torch.equal(temporal_shift(maps, frames), naive)
    (expected,) = torch.autograd.grad((naive * weight).sum(), maps)
    (found,) = torch.autograd.grad((temporal_shift(maps, frames) * weight).sum(), maps)
    assert torch.equal(found, expected)


def test_the_shift_keeps_the_memory_layout():
    maps = torch.randn(6, 16, 4, 5).contiguous(memory_format=torch.channels_last)
    assert temporal_shift(maps, 3).is_contiguous(memory_format=torch.channels_last)
    assert torch.equal(temporal_shift(maps, 3), temporal_shift(maps.contiguous(), 3))


@pytest.mark.parametrize("spec, millions, features", [(R18, 11.18, 512), (R34, 21.28, 512), (R50, 23.51, 2048)])
def test_the_papers_sizes(spec, millions, features):
    with torch.device("meta"):
        encoder = build_encoder(spec, 3, seed=0)
        assert sum(p.numel() for p in encoder.parameters()) / 1e6 == pytest.approx(millions, abs=5e-3)
        assert encoder(torch.empty(2, 3, 8, 32, 32)).shape == (2, features) == (2, encoder.features)


def tiny(block: type, channels: int = 3) -> TsmResNet:
    torch.manual_seed(0)
    network = TsmResNet(block, [1, 1, 1, 1], channels).double()
    for norm in (m for m in network.modules() if isinstance(m, torch.nn.BatchNorm2d)):
        norm.running_mean.normal_()
        norm.running_var.uniform_(0.5, 2)
    return network.eval()


@pytest.mark.parametrize("block", [ShiftedBasicBlock, ShiftedBottleneck])
def test_nothing_passes_between_snippets(block):
    """A batch is the same as its snippets one by one, and only a snippet's own frames have a gradient to its vector."""
    network = tiny(block)
    clips = torch.randn(3, 3, 4, 20, 20, dtype=torch.double, requires_grad=True)
    together = network(clips)
    apart = torch.cat([network(clips[i : i + 1]) for i in range(3)])
    torch.testing.assert_close(together, apart, rtol=1e-12, atol=1e-12)
    (gradient,) = torch.autograd.grad(together[1].sum(), clips)
    reached = gradient.abs().amax((1, 3, 4)) > 0
    assert reached.tolist() == [[False] * 4, [True] * 4, [False] * 4]


@pytest.mark.parametrize("block", [ShiftedBasicBlock, ShiftedBottleneck])
def test_frames_of_a_snippet_see_each_other(block):
    network = tiny(block)
    clips = torch.randn(1, 3, 4, 20, 20, dtype=torch.double)
    assert not torch.allclose(network(clips), network(clips.flip(2)))
    frames_alone = torch.stack([network(clips[:, :, t : t + 1]) for t in range(4)]).mean(0)
    assert not torch.allclose(network(clips), frames_alone)


@pytest.mark.parametrize("spec, picture_network", [(R18, resnet18), (R50, resnet50)], ids=["basic", "bottleneck"])
def test_without_the_shift_it_is_torchvisions_network(spec, picture_network, monkeypatch):
    encoder = build_encoder(spec, 3, seed=0).eval()
    original = picture_network().eval()
    original.fc = torch.nn.Identity()
    assert encoder.body.state_dict().keys() == original.state_dict().keys()
    original.load_state_dict(encoder.body.state_dict())
    monkeypatch.setattr("stages.nn.tsm.temporal_shift", lambda maps, frames: maps)
    clips = torch.randn(2, 3, 3, 33, 33)
    with torch.no_grad():
        frames = torch.stack([original(clips[:, :, t]) for t in range(3)])
        torch.testing.assert_close(encoder(clips), frames.mean(0), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("channels", [2, 5])
def test_other_channels(channels):
    first = build_encoder(R18, channels, seed=0).body.conv1
    assert (first.weight.shape, first.bias, first.stride) == ((64, channels, 7, 7), None, (2, 2))
    # as torchvision draws the others: variance 2 over the 64 * 49 that a pixel goes to
    assert first.weight.std().item() == pytest.approx((2 / (64 * 49)) ** 0.5, rel=0.05)


def test_layout_and_training_as_the_stages_do_it():
    choice = numbers("fp32", torch.device("cpu"))
    encoder = choice.place(build_encoder(R18, 3, seed=0))
    freeze_norms(encoder)
    assert encoder.body.layer1[0].conv1.weight.is_contiguous(memory_format=torch.channels_last)
    clips = torch.randn(2, 3, 2, 32, 32)
    placed = encoder(choice.lay_out(clips))
    torch.testing.assert_close(placed, build_encoder(R18, 3, seed=0).eval()(clips), rtol=1e-4, atol=1e-5)
    placed.sum().backward()
    assert all(p.grad is not None for p in encoder.parameters())


def test_imagenet_weights_come_from_torchvisions_file(tmp_path, monkeypatch):
    theirs = resnet18().state_dict()
    torch.save(theirs, tmp_path / "resnet18-f37072fd.pth")
    digest = type("Digest", (), {"hexdigest": staticmethod(lambda: "f37072fd" + "0" * 56)})
    monkeypatch.setattr(hashlib, "file_digest", lambda file, name: digest)
    spec = TsmResnet(kind="tsm_resnet18", weights="IMAGENET1K_V1")
    ours = build_encoder(spec, 3, seed=1, weights=tmp_path).body.state_dict()
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)


def test_absent_weights_say_where_to_put_them(tmp_path, monkeypatch):
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "cache"))
    spec = TsmResnet(kind="tsm_resnet50", weights="IMAGENET1K_V2")
    with pytest.raises(UserError, match=r"Put https://.*resnet50-11ad3fa6.pth into .*folder"):
        build_encoder(spec, 3, seed=0, weights=tmp_path / "folder")


def test_a_saved_one_opens_without_torchvisions_file(tmp_path):
    spec = TsmResnet(kind="tsm_resnet18", weights="IMAGENET1K_V1")
    saved = build_encoder(R18, 3, seed=3)
    save_encoder(tmp_path, saved, Card(encoder=spec, view_name="rgb", view=Rgb(), clip=Clip(frames=8), stage="demo.x"))
    encoder, card = load_encoder(tmp_path)
    assert card.encoder == spec
    assert torch.equal(encoder.body.layer4[1].conv2.weight, saved.body.layer4[1].conv2.weight)


def test_where_weights_came_from_does_not_matter_to_a_training_that_goes_on():
    def problems(first: dict, then: dict) -> list[str]:
        models = {"a": {"method": "infonce", "encoder": first}, "b": {"method": "infonce", "init": "a"}}
        content = {"spec": 1, "name": "demo", "data": {"kind": "synthetic_actions"}, "encoder": then, "models": models}
        study = Study.model_validate_json(json.dumps(content))
        return [problem.message for problem in study.models["b"].problems(study)]

    pretrained = {"kind": "tsm_resnet18", "weights": "IMAGENET1K_V1"}
    assert problems(pretrained, {"kind": "tsm_resnet18"}) == []
    (message,) = problems(pretrained, {"kind": "tsm_resnet34"})
    assert "has encoder tsm_resnet18, this one tsm_resnet34" in message


def test_what_it_refuses():
    clip = Clip(frames=8, size=112)
    assert R18.refuses(clip, Difference()) is None
    assert "ResNet-50 only" in TsmResnet(kind="tsm_resnet34", weights="IMAGENET1K_V2").refuses(clip, Rgb())
    pretrained = TsmResnet(kind="tsm_resnet50", weights="IMAGENET1K_V2")
    assert pretrained.refuses(clip, Rgb()) is None
    assert "an encoder for RGB" in pretrained.refuses(clip, Difference())
