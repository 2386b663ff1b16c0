"""Which number format a device gets."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from engine.errors import UserError
from stages.nn import precision
from stages.nn.precision import numbers

CPU = torch.device("cpu")


@pytest.mark.parametrize("flags, bf16", [("avx2 fma", False), ("avx2 avx512_bf16", True), ("amx_bf16", True), ("", False)])
def test_a_cpu_uses_bf16_only_with_instructions_for_it(monkeypatch, flags, bf16):
    monkeypatch.setattr(precision, "_cpu_flags", lambda: set(flags.split()))
    assert numbers("auto", CPU).bf16 is bf16
    assert numbers("bf16", CPU).bf16 is True
    assert numbers("fp32", CPU).bf16 is False


@pytest.mark.parametrize("capability, bf16", [((7, 5), False), ((8, 0), True), ((9, 0), True)])
def test_a_gpu_uses_bf16_since_ampere(monkeypatch, capability, bf16):
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: capability)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: "Old GPU")
    gpu = torch.device("cuda")
    assert numbers("auto", gpu).bf16 is bf16
    if not bf16:
        with pytest.raises(UserError, match="Old GPU has no bf16 units"):
            numbers("bf16", gpu)


def test_layers_run_in_bf16_and_weights_stay_in_fp32():
    how = precision.Numbers(CPU, bf16=True)
    layer = how.place(nn.Conv3d(2, 3, 1))
    with how.autocast():
        assert layer(torch.randn(1, 2, 2, 2, 2)).dtype == torch.bfloat16
    assert layer.weight.dtype == torch.float32
    with precision.Numbers(CPU, bf16=False).autocast():
        assert layer(torch.randn(1, 2, 2, 2, 2)).dtype == torch.float32
