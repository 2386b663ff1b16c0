"""Number formats of a training: bf16 where the hardware is fast at it, and a memory layout that suits 3D convolutions."""

from __future__ import annotations

import ctypes
import sys
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Literal, TypeVar

import torch
from torch import Tensor, nn

from engine.errors import UserError
from stages.nn.flat_kernels import flatten_kernels

M = TypeVar("M", bound=nn.Module)

_CHANNELS_LAST = {4: torch.channels_last, 5: torch.channels_last_3d}
"""Layout by the dimensions of a convolution's weight; a network may have both kinds."""
_M_TRIM_THRESHOLD, _M_MMAP_MAX = -1, -4
"""Of ``mallopt``, from glibc's malloc.h."""


@dataclass(frozen=True)
class Numbers:
    """How a training computes on its device; weights, losses and optimiser stay in fp32 always."""

    device: torch.device
    bf16: bool

    def autocast(self) -> AbstractContextManager:
        """Forward passes run inside of this."""
        return torch.autocast(self.device.type, dtype=torch.bfloat16, enabled=self.bf16)

    def place(self, module: M) -> M:
        """``module`` on the device, convolutions channels-last, which CPUs and tensor cores prefer; on a CPU, flat."""
        module = module.to(self.device)
        if self.device.type == "cpu":
            flatten_kernels(module)
        for weight in module.parameters():
            if weight.dim() in _CHANNELS_LAST:
                weight.data = weight.data.to(memory_format=_CHANNELS_LAST[weight.dim()])
        return module

    def lay_out(self, clips: Tensor) -> Tensor:
        """Clips [N, C, T, H, W] in the layout of ``place``."""
        return clips.to(memory_format=torch.channels_last_3d)


def numbers(precision: Literal["auto", "fp32", "bf16"], device: torch.device) -> Numbers:
    """Choose for a device. Raises UserError when bf16 is asked of a GPU without it."""
    if device.type == "cpu":
        keep_freed_memory()
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


def keep_freed_memory() -> None:
    """Let this process keep the memory that it frees, for what it allocates next.

    The C library returns large blocks to the system at once. A training step allocates the same ones again, and the
    system has to clear every page anew: a tenth to a fifth of a step. Does nothing where the C library is not glibc.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None) if sys.platform == "linux" else None
    if mallopt is not None:
        mallopt(_M_MMAP_MAX, 0)
        mallopt(_M_TRIM_THRESHOLD, -1)


def _cpu_flags() -> set[str]:
    """Instruction sets of the CPU; empty where the system does not tell."""
    try:
        with open("/proc/cpuinfo") as file:
            line = next((line for line in file if line.startswith("flags")), "")
    except OSError:
        return set()
    return set(line.split())
