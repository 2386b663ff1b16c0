"""S3D as CoCLR's public code stores it: names, shapes and a plain forward pass, written from its description."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional as F

MIXED = {
    "3b": (192, 64, 96, 128, 16, 32, 32),
    "3c": (256, 128, 128, 192, 32, 96, 64),
    "4b": (480, 192, 96, 208, 16, 48, 64),
    "4c": (512, 160, 112, 224, 24, 64, 64),
    "4d": (512, 128, 128, 256, 24, 64, 64),
    "4e": (512, 112, 144, 288, 32, 64, 64),
    "4f": (528, 256, 160, 320, 32, 128, 128),
    "5b": (832, 256, 160, 320, 32, 128, 128),
    "5c": (832, 384, 192, 384, 48, 128, 128),
}
"""Width of the input; branch 0; branch 1, a and b; branch 2, a and b; branch 3."""

BLOCKS = {
    "block1": ["Conv_1a"],
    "block2": [None, "Conv_2b", "Conv_2c"],
    "block3": [None, "Mixed_3b", "Mixed_3c"],
    "block4": [None, "Mixed_4b", "Mixed_4c", "Mixed_4d", "Mixed_4e", "Mixed_4f"],
    "block5": [None, "Mixed_5b", "Mixed_5c"],
}
"""Layers a second time, by block; None is a pool."""


def shapes() -> dict[str, tuple[int, ...]]:
    """Name -> shape of every weight, once (without the names by block)."""
    found: dict[str, tuple[int, ...]] = {}

    def norm(name: str, width: int) -> None:
        found.update({f"{name}.{part}": (width,) for part in ("weight", "bias", "running_mean", "running_var")})
        found[f"{name}.num_batches_tracked"] = ()

    def plain(name: str, inside: int, outside: int) -> None:
        found[f"{name}.conv.weight"] = (outside, inside, 1, 1, 1)
        norm(f"{name}.bn", outside)

    def separable(name: str, inside: int, outside: int, size: int) -> None:
        found[f"{name}.conv1.weight"] = (outside, inside, 1, size, size)
        found[f"{name}.conv2.weight"] = (outside, outside, size, 1, 1)
        norm(f"{name}.bn1", outside)
        norm(f"{name}.bn2", outside)

    separable("Conv_1a", 3, 64, 7)
    plain("Conv_2b", 64, 64)
    separable("Conv_2c", 64, 192, 3)
    for layer, (inside, b0, b1a, b1b, b2a, b2b, b3) in MIXED.items():
        plain(f"Mixed_{layer}.branch0.0", inside, b0)
        plain(f"Mixed_{layer}.branch1.0", inside, b1a)
        separable(f"Mixed_{layer}.branch1.1", b1a, b1b, 3)
        plain(f"Mixed_{layer}.branch2.0", inside, b2a)
        separable(f"Mixed_{layer}.branch2.1", b2a, b2b, 3)
        plain(f"Mixed_{layer}.branch3.1", inside, b3)
    return found


def backbone(seed: int) -> dict[str, Tensor]:
    """Random weights under their first names; variances are so small that BatchNorm's eps shows in the output."""
    random = torch.Generator().manual_seed(seed)
    state = {}
    for name, shape in shapes().items():
        if name.endswith("num_batches_tracked"):
            state[name] = torch.tensor(17)
        elif len(shape) == 5:
            state[name] = torch.randn(shape, generator=random) * 0.2 * math.sqrt(2 / math.prod(shape[1:]))
        elif name.endswith("running_var"):
            state[name] = 0.02 + 0.04 * torch.rand(shape, generator=random)
        elif name.endswith("weight"):
            state[name] = 0.5 + torch.rand(shape, generator=random)
        else:
            state[name] = 0.05 * torch.randn(shape, generator=random)
    return state


def twice(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """The same tensors by layer and by block, as a state dict of the public module has them."""
    second = {
        f"{block}.{place}.{name.removeprefix(layer + '.')}": tensor
        for block, layers in BLOCKS.items()
        for place, layer in enumerate(layers)
        if layer
        for name, tensor in state.items()
        if name.startswith(layer + ".")
    }
    assert len(second) == len(state)
    return state | second


def head(seed: int, dim: int = 128) -> dict[str, Tensor]:
    random = torch.Generator().manual_seed(seed)
    sizes = {"2.weight": (1024, 1024, 1, 1, 1), "2.bias": (1024,), "4.weight": (dim, 1024, 1, 1, 1), "4.bias": (dim,)}
    return {name: torch.randn(size, generator=random) for name, size in sizes.items()}


def prefixed(prefix: str, state: dict[str, Tensor]) -> dict[str, Tensor]:
    return {prefix + name: tensor for name, tensor in state.items()}


def forward(state: dict[str, Tensor], clips: Tensor) -> Tensor:
    """Features [N, 1024] of clips [N, 3, T, H, W] in evaluation mode; BatchNorm's eps is 1e-5."""

    def unit(x: Tensor, name: str, number: str = "", stride=1, padding=0) -> Tensor:
        x = F.conv3d(x, state[f"{name}.conv{number}.weight"], stride=stride, padding=padding)
        mean, var, weight, bias = (
            state[f"{name}.bn{number}.{part}"].view(-1, 1, 1, 1)
            for part in ("running_mean", "running_var", "weight", "bias")
        )
        return ((x - mean) / (var + 1e-5).sqrt() * weight + bias).relu()

    def separable(x: Tensor, name: str, stride: int, pad: int) -> Tensor:
        x = unit(x, name, "1", (1, stride, stride), (0, pad, pad))
        return unit(x, name, "2", (stride, 1, 1), (pad, 0, 0))

    def mixed(x: Tensor, name: str) -> Tensor:
        branches = [unit(x, f"{name}.branch0.0")]
        branches += [separable(unit(x, f"{name}.branch{b}.0"), f"{name}.branch{b}.1", 1, 1) for b in (1, 2)]
        branches.append(unit(F.max_pool3d(x, 3, 1, 1), f"{name}.branch3.1"))
        return torch.cat(branches, 1)

    x = separable(clips, "Conv_1a", 2, 3)
    x = F.max_pool3d(x, (1, 3, 3), (1, 2, 2), (0, 1, 1))
    x = separable(unit(x, "Conv_2b"), "Conv_2c", 1, 1)
    x = F.max_pool3d(x, (1, 3, 3), (1, 2, 2), (0, 1, 1))
    x = mixed(mixed(x, "Mixed_3b"), "Mixed_3c")
    x = F.max_pool3d(x, 3, 2, 1)
    for layer in ("4b", "4c", "4d", "4e", "4f"):
        x = mixed(x, f"Mixed_{layer}")
    x = F.max_pool3d(x, 2, 2)
    return mixed(mixed(x, "Mixed_5b"), "Mixed_5c").flatten(2).mean(2)
