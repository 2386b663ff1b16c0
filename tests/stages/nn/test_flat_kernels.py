"""Flat kernels compute what the three-dimensional ones do, forwards and backwards."""

from __future__ import annotations

from copy import deepcopy

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from stages.nn.encoders import build_encoder
from stages.nn.flat_kernels import FlatConvolution, SeparatePool, flatten_kernels
from stages.nn.precision import Numbers
from stages.nn.spec import Narrow, Torchvision

CPU = torch.device("cpu")


def results(module: nn.Module, clips: torch.Tensor) -> list[torch.Tensor]:
    """Output, and the gradients of input and weights under a loss that weighs every place differently."""
    clips = clips.clone(memory_format=torch.preserve_format).requires_grad_()
    out = module(clips)
    weights = torch.linspace(-1, 1, out.numel(), dtype=out.dtype).view(out.shape)
    gradients = torch.autograd.grad((out * weights).sum(), [clips, *module.parameters()])
    return [out.detach(), *gradients]


def assert_alike(module: nn.Module, clips: torch.Tensor, kind: type[nn.Module]) -> None:
    flat = nn.Sequential(deepcopy(module))
    flatten_kernels(flat)
    assert type(flat[0]) is kind
    assert type(module) is not kind
    expected = results(module, clips)
    for layout in (torch.contiguous_format, torch.channels_last_3d):
        for ours, theirs in zip(results(flat, clips.to(memory_format=layout)), expected, strict=True):
            torch.testing.assert_close(ours, theirs)


def random_clips(frames: int, size: tuple[int, int] = (6, 5), channels: int = 3) -> torch.Tensor:
    shape = (2, channels, frames, *size)
    return torch.randn(shape, generator=torch.Generator().manual_seed(frames), dtype=torch.float64)


@pytest.mark.parametrize("kernel, stride, padding", [(1, 1, 0), (3, 1, 1), (5, 2, 2), (1, 2, 0), (3, 3, 0)])
@pytest.mark.parametrize("bias", [False, True])
def test_convolutions_over_space(kernel, stride, padding, bias):
    spans = (1, kernel, kernel), (1, stride, stride), (0, padding, padding)
    assert_alike(nn.Conv3d(3, 4, *spans, bias=bias).double(), random_clips(4), FlatConvolution)


@settings(max_examples=30, deadline=None)
@given(frames=st.integers(1, 6), kernel=st.integers(2, 7), data=st.data(), bias=st.booleans())
def test_convolutions_over_time(frames, kernel, data, bias):
    least = max(0, -(-(kernel - frames) // 2))  # so that something comes out
    padding = data.draw(st.integers(least, max(least, kernel - 1)))
    convolution = nn.Conv3d(3, 4, (kernel, 1, 1), 1, (padding, 0, 0), bias=bias).double()
    assert_alike(convolution, random_clips(frames), FlatConvolution)


@pytest.mark.parametrize(
    "pool",
    [
        nn.MaxPool3d((1, 3, 3), (1, 2, 2), (0, 1, 1)),
        nn.MaxPool3d(3, 2, 1),
        nn.MaxPool3d(3, 1, 1),
        nn.MaxPool3d(2),
        nn.MaxPool3d((2, 1, 1)),
        nn.MaxPool3d(2, 2, ceil_mode=True),
    ],
    ids=repr,
)
def test_pools_with_and_without_equal_maxima(pool):
    clips = random_clips(5)
    assert_alike(pool, clips, SeparatePool)
    assert_alike(pool, clips.round(), SeparatePool)
    assert_alike(pool, torch.zeros_like(clips), SeparatePool)


@pytest.mark.parametrize(
    "module",
    [
        nn.Conv3d(4, 4, 3),
        nn.Conv3d(4, 4, (1, 3, 3), groups=2),
        nn.Conv3d(4, 4, (3, 1, 1), (2, 1, 1)),
        nn.Conv3d(4, 4, (1, 3, 3), dilation=(1, 2, 2)),
        nn.Conv3d(4, 4, (1, 3, 3), padding="same"),
        nn.Conv3d(4, 4, (3, 1, 1), padding=(1, 1, 1)),
        nn.MaxPool3d(2, return_indices=True),
        nn.MaxPool3d(2, dilation=2),
        nn.Conv2d(4, 4, 3),
    ],
    ids=repr,
)
def test_what_is_not_flat_is_left_alone(module):
    kind = type(module)
    flatten_kernels(module)
    assert type(module) is kind


@pytest.mark.parametrize(
    "spec, clips", [(Narrow(kind="narrow", width=4), (4, 3, 4, 16, 16)), (Torchvision(kind="s3d"), (2, 3, 8, 32, 32))],
    ids=["narrow", "s3d"],
)
def test_networks_on_a_cpu_keep_their_names_and_what_they_compute(spec, clips):
    plain = build_encoder(spec, 3, seed=0).eval()
    placed = Numbers(CPU, bf16=False).place(deepcopy(plain))
    assert any(isinstance(part, FlatConvolution) for part in placed.modules())
    assert list(placed.state_dict()) == list(plain.state_dict())
    pixels = torch.randn(clips, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(placed(pixels), plain(pixels), rtol=1e-4, atol=1e-5)


def test_bf16_by_autocast():
    convolution = nn.Sequential(nn.Conv3d(3, 4, (3, 1, 1), padding=(1, 0, 0)))
    flatten_kernels(convolution)
    with Numbers(CPU, bf16=True).autocast():
        out = convolution(random_clips(4).float())
    out.float().sum().backward()
    assert out.dtype == torch.bfloat16
    assert convolution[0].weight.grad.dtype == torch.float32
