"""Chunks with activation checkpointing give the gradients of the plain forward pass."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from stages.nn.chunked import chunked
from stages.nn.encoders import VideoEncoder, build_encoder
from stages.nn.frozen_norm import freeze_norms
from stages.nn.spec import Narrow
from stages.nn.tsm import ShiftedBasicBlock, TsmResNet

CLIPS = 5


def tsm() -> VideoEncoder:
    torch.manual_seed(1)
    body = TsmResNet(ShiftedBasicBlock, [1, 1, 1, 1], 3)
    return VideoEncoder(body, body.features)


def narrow() -> VideoEncoder:
    return build_encoder(Narrow(kind="narrow", width=4), 3, seed=1)


def prepared(make, dtype: torch.dtype = torch.double) -> tuple[VideoEncoder, torch.Tensor, torch.Tensor]:
    """A training encoder with frozen norms of lived-in statistics, clips, and weights of a loss."""
    encoder = make().to(dtype)
    for name, buffer in encoder.named_buffers():
        if "running" in name:
            buffer.uniform_(0.5, 1.5)
    encoder.train()
    freeze_norms(encoder)
    return encoder, torch.randn(CLIPS, 3, 4, 18, 18, dtype=dtype), torch.randn(CLIPS, encoder.features, dtype=dtype)


def gradients(encoder: nn.Module, features: torch.Tensor, weight: torch.Tensor) -> list[torch.Tensor]:
    return list(torch.autograd.grad((features.tanh() * weight).sum(), list(encoder.parameters())))


@pytest.mark.parametrize("make", [tsm, narrow])
@pytest.mark.parametrize("chunk", [1, 2, 3, 5, 9])
def test_exact_gradients(make, chunk):
    encoder, clips, weight = prepared(make)
    plain = encoder(clips)
    features = chunked(encoder, clips, chunk)
    torch.testing.assert_close(features, plain, rtol=1e-12, atol=1e-12)
    for found, expected in zip(gradients(encoder, features, weight), gradients(encoder, plain, weight)):
        torch.testing.assert_close(found, expected, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("make", [tsm, narrow])
def test_bit_equal_to_the_same_chunks_without_checkpoints(make):
    encoder, clips, weight = prepared(make, torch.float)
    expected = torch.cat([encoder(part) for part in clips.split(2)])
    features = chunked(encoder, clips, 2)
    assert torch.equal(features, expected)
    for found, wanted in zip(gradients(encoder, features, weight), gradients(encoder, expected, weight)):
        assert torch.equal(found, wanted)


def test_no_chunk_is_the_plain_forward_pass():
    encoder, clips, _ = prepared(narrow, torch.float)
    encoder.train()  # and here BatchNorm may move
    assert torch.equal(chunked(encoder, clips, None), encoder(clips))


class Counting(nn.Module):
    """Counts the clips that pass."""

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner
        self.batches: list[int] = []

    def forward(self, clips: torch.Tensor) -> torch.Tensor:
        self.batches.append(len(clips))
        return self.inner(clips)


def test_each_chunk_is_computed_once_more_for_its_gradient():
    encoder, clips, _ = prepared(narrow, torch.float)
    counting = Counting(encoder)
    features = chunked(counting, clips, 2)
    assert counting.batches == [2, 2, 1]
    features.sum().backward()
    assert counting.batches == [2, 2, 1, 1, 2, 2]  # the last first
    with torch.no_grad():
        counting.batches.clear()
        assert not chunked(counting, clips, 2).requires_grad
    assert counting.batches == [2, 2, 1]


def test_batch_statistics_are_refused():
    encoder, clips, _ = prepared(narrow, torch.float)
    encoder.train()
    before = {name: value.clone() for name, value in encoder.state_dict().items()}
    with pytest.raises(ValueError, match=r"fixed statistics, and 9 .*the first is body\.0\.1"):
        chunked(encoder, clips, 2)
    assert all(torch.equal(before[name], value) for name, value in encoder.state_dict().items())
    with pytest.raises(ValueError, match="1 clip at least, not 0"):
        chunked(encoder.eval(), clips, 0)


def test_a_change_of_mode_before_the_backward_pass_does_no_harm():
    encoder, clips, weight = prepared(narrow)
    expected = gradients(encoder, encoder(clips), weight)
    before = {name: value.clone() for name, value in encoder.named_buffers()}
    features = chunked(encoder, clips, 2)
    encoder.train()
    for found, wanted in zip(gradients(encoder, features, weight), expected):
        torch.testing.assert_close(found, wanted, rtol=1e-10, atol=1e-10)
    assert all(torch.equal(before[name], value) for name, value in encoder.named_buffers())
    assert all(norm.training for norm in encoder.modules())  # left as the caller wanted it


def test_dropout_draws_the_same_again():
    """The gradient of a linear layer below dropout is what the features of that very pass imply."""
    torch.manual_seed(0)
    network = nn.Sequential(nn.Linear(6, 40), nn.Dropout(0.5))
    clips = torch.randn(4, 6)
    features = chunked(network, clips, 2)
    (gradient,) = torch.autograd.grad(features.sum(), network[0].bias)
    assert torch.equal(gradient, 2.0 * (features != 0).sum(0))


def test_under_autocast():
    encoder, clips, weight = prepared(narrow, torch.float)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        expected = torch.cat([encoder(part) for part in clips.split(2)])
        features = chunked(encoder, clips, 2)
    assert torch.equal(features, expected)
    for found, wanted in zip(gradients(encoder, features, weight), gradients(encoder, expected, weight)):
        torch.testing.assert_close(found, wanted, rtol=1e-2, atol=1e-2)
