"""Bytes of activations: by hand, and prediction from shapes against measurement."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from stages.nn.activations import Allocations, kept_bytes, peak_bytes, shapes_only
from stages.nn.chunked import chunked
from stages.nn.encoders import build_encoder
from stages.nn.frozen_norm import freeze_norms
from stages.nn.spec import Narrow, Torchvision, TsmResnet

NARROW = Narrow(kind="narrow", width=4)
TSM = TsmResnet(kind="tsm_resnet18")


def test_kept_by_hand():
    linear = nn.Linear(10, 20)
    x = torch.randn(4, 10)
    own = [x, *linear.parameters()]
    # the product keeps x and the weight, the sigmoid its own result, and tanh its: views and repeats count once
    assert kept_bytes(lambda: linear(x), own) == 0
    assert kept_bytes(lambda: linear(x), list(linear.parameters())) == 4 * 10 * 4
    assert kept_bytes(lambda: linear(x).sigmoid(), own) == 4 * 20 * 4
    assert kept_bytes(lambda: linear(x).relu_().view(2, 40).tanh(), own) == 2 * 4 * 20 * 4


def test_peak_by_hand():
    x = torch.randn(1000)

    def step() -> None:
        a = x + 1  # 4000
        b = a * 2  # 8000
        del a  # 4000
        c = b.view(10, 100)  # the same storage
        c.mul_(2)
        torch.cat([b, b, x])  # 4000 + 12000

    assert peak_bytes(step) == 16_000


def test_what_is_released_is_no_longer_live():
    with Allocations() as allocations:
        a = torch.zeros(100)
        b = a + 1
        assert allocations.live == 800
        del a
        assert allocations.live == 400
        del b
    assert (allocations.live, allocations.peak) == (0, 800)


def step_of(spec, clips: int, frames: int, side: int, chunk: int | None = None):
    """Kept and peak bytes of one step of an encoder."""
    encoder = build_encoder(spec, 3, seed=0)
    freeze_norms(encoder)
    pixels = torch.rand(clips, 3, frames, side, side)
    own = [pixels, *encoder.parameters(), *encoder.buffers()]
    kept = kept_bytes(lambda: chunked(encoder, pixels, chunk), own)
    return kept, peak_bytes(lambda: chunked(encoder, pixels, chunk).sum().backward())


CASES = [
    (NARROW, 4, 4, 32, None),
    (NARROW, 6, 4, 32, 2),
    (TSM, 3, 2, 48, None),
    (TSM, 4, 2, 40, 2),
    (Torchvision(kind="s3d"), 2, 8, 32, None),
]


@pytest.mark.parametrize("case", CASES, ids=str)
def test_prediction_is_measurement(case):
    measured = step_of(*case)
    with shapes_only():
        predicted = step_of(*case)
    assert predicted == pytest.approx(measured, rel=0.02)
    kept, peak = measured
    assert (kept == 0) == (case[-1] is not None)  # with chunks nothing but the input and the result stays
    assert peak > kept


def test_prediction_in_bf16():
    def kept() -> int:
        encoder = build_encoder(NARROW, 3, seed=0)
        pixels = torch.rand(2, 3, 2, 16, 16)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            return kept_bytes(lambda: encoder(pixels), [pixels, *encoder.parameters(), *encoder.buffers()])

    with shapes_only():
        predicted = kept()
    assert predicted == pytest.approx(kept(), rel=0.02)


@pytest.mark.parametrize(
    "depth, side, mebibytes", [(18, 224, 23.9), (18, 158, 12.1), (18, 112, 6.1), (34, 224, 35.9), (50, 224, 103.4)]
)
def test_a_frame_of_tsm_by_layer_arithmetic(depth, side, mebibytes):
    """What layer arithmetic gives for a frame in fp32, batch statistics being taken and the input not counted."""
    with shapes_only():
        encoder = build_encoder(TsmResnet(kind=f"tsm_resnet{depth}"), 3, seed=0)
        pixels = torch.empty(4, 3, 8, side, side)
        kept = kept_bytes(lambda: encoder(pixels), [pixels, *encoder.parameters(), *encoder.buffers()])
    assert kept / 32 / 2**20 == pytest.approx(mebibytes, rel=0.01)
