"""Number formats of a training: bf16 where the hardware is fast at it, and a memory layout that suits 3D convolutions."""

from __future__ import annotations

from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Literal, TypeVar

import torch
from torch import Tensor, nn

from engine.errors import UserError

M = TypeVar("M", bound=nn.Module)


@dataclass(frozen=True)
class Numbers:
    """How a training computes on its device; weights, losses and optimiser stay in fp32 always."""

    device: torch.device
    bf16: bool

    def autocast(self) -> AbstractContextManager:
        """Forward passes run inside of this."""
        return torch.autocast(self.device.type, dtype=torch.bfloat16, enabled=self.bf16)

    def place(self, module: M) -> M:
        """``module`` on the device, convolutions channels-last, which CPUs and tensor cores prefer."""
        return module.to(self.device, memory_format=torch.channels_last_3d)

    def lay_out(self, clips: Tensor) -> Tensor:
        """Clips [N, C, T, H, W] in the layout of ``place``."""
        return clips.to(memory_format=torch.channels_last_3d)


def numbers(precision: Literal["auto", "fp32", "bf16"], device: torch.device) -> Numbers:
    """Choose for a device. Raises UserError when bf16 is asked of a GPU without it."""
    if precision == "auto":
        return Numbers(device, fast_bf16(device))
    if precision == "bf16" and device.type == "cuda" and not fast_bf16(device):
        name = torch.cuda.get_device_name(device)
        raise UserError(f"precision bf16: {name} has no bf16 units; set precision to fp32 or auto")
    return Numbers(device, precision == "bf16")


def fast_bf16(device: torch.device) -> bool:
    """Whether bf16 products are faster than fp32 ones there. On CPUs that lack the instructions they are far slower."""
    if device.type == "cuda":
        return torch.cuda.get_device_capability(device) >= (8, 0)
    if device.type == "cpu":
        return _cpu_flags() & {"avx512_bf16", "amx_bf16"} != set()
    return False


def _cpu_flags() -> set[str]:
    """Instruction sets of the CPU; empty where the system does not tell."""
    try:
        with open("/proc/cpuinfo") as file:
            line = next((line for line in file if line.startswith("flags")), "")
    except OSError:
        return set()
    return set(line.split())
