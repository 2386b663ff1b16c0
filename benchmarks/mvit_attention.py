"""Blocks of an MViT: torchvision's own against those of ``stages.nn.mvit_kernels``.

    python benchmarks/mvit_attention.py                  # one core; about two minutes
    python benchmarks/mvit_attention.py --device cuda    # bf16, blocks of MaskFeat-S at 16 x 224 x 224

Prints for each block the time of a pass forward, and of one forward and back, in milliseconds: the least of several,
in turns. ``torchvision`` is its own block; ``pools`` has our pooling convolutions and its attention; ``plain`` and
``fused`` have our attention, by plain products or through ``scaled_dot_product_attention``. Time on a CPU is that of
the process, so that neighbours count less. Then the bytes that each keeps for the backward pass, and how far vectors
and gradients are from torchvision's, as a part of the largest. What is used is ``plain`` on CPUs and ``fused``
elsewhere: ``mvit_kernels.attend``.
"""

from __future__ import annotations

import argparse
import copy
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import torch
from torch import Tensor, nn
from torchvision.models.video import mvit

ROOT = Path(__file__).resolve().parent.parent
if str(ROOT) not in sys.path:
    sys.path.insert(0, str(ROOT))

from stages.nn import mvit_kernels  # noqa: E402 - after the path is set
from stages.nn.activations import kept_bytes  # noqa: E402
from stages.nn.mvit_layouts import Layout, maskfeat_s  # noqa: E402

Grid = tuple[int, int, int]
SMALL = Layout(width=32, heads=1, stages=(1, 2, 2), grow="mlp", frames=8, size=64)


def cases(device: str) -> list[tuple[str, Layout, int, Grid, int]]:
    """Name, layout, number of the block, grid of its tokens, clips."""
    if device != "cpu":
        sides = ((0, 56), (1, 56), (3, 28), (4, 14), (15, 7))
        return [("MaskFeat-S, 16x224", maskfeat_s(), block, (8, side, side), 8) for block, side in sides]
    small = [("small, 8x64", SMALL, block, (4, side, side), 8) for block, side in ((0, 16), (1, 16), (2, 8), (3, 8))]
    sides = ((0, 28), (3, 14), (4, 7))
    return small + [("MaskFeat-S, 16x112", maskfeat_s(), block, (8, side, side), 1) for block, side in sides]


def variants(layout: Layout, number: int, grid: Grid) -> dict[str, nn.Module]:
    """The same block four times."""
    torch.manual_seed(0)
    setting = layout.blocks()[number]
    norm = partial(nn.LayerNorm, eps=1e-6)
    stock = mvit.MultiscaleBlock(list(grid), setting, True, False, True, layout.grow == "attention", norm_layer=norm)
    ours = copy.deepcopy(stock)
    mvit_kernels.use_fast_kernels(ours)
    pools = copy.deepcopy(ours)
    pools.attn.__class__ = mvit.MultiscaleAttention
    return {"torchvision": stock, "pools": pools, "plain": ours, "fused": copy.deepcopy(ours)}


def choose(name: str) -> None:
    """Let ``attend`` compute as ``name`` says, whatever the device."""
    kernel = mvit_kernels.KERNELS["fused" if name == "fused" else "plain"]
    mvit_kernels.attend = partial(mvit_kernels.attend_with, kernel)


def passes(
    network: nn.Module, tokens: Tensor, grid: Grid, upstream: Tensor, half: bool
) -> tuple[Tensor, tuple[Tensor, ...]]:
    """Vectors and all gradients of one pass forward and back."""
    with torch.autocast(tokens.device.type, torch.bfloat16, enabled=half):
        out = network(tokens, grid)[0]
    return out, torch.autograd.grad(out, [tokens, *network.parameters()], upstream.to(out.dtype))


def seconds(run: Callable[[], object], device: str) -> float:
    if device == "cpu":
        start = time.process_time()
        run()
        return time.process_time() - start
    torch.cuda.synchronize()
    start = time.perf_counter()
    run()
    torch.cuda.synchronize()
    return time.perf_counter() - start


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--device", default="cpu", choices=["cpu", "cuda"])
    parser.add_argument("--repeats", type=int, default=8)
    given = parser.parse_args()
    device, half = given.device, given.device != "cpu"
    torch.set_num_threads(1)
    for name, layout, number, grid, clips in cases(device):
        networks = {key: network.to(device) for key, network in variants(layout, number, grid).items()}
        width = layout.blocks()[number].input_channels
        tokens = torch.randn(clips, 1 + grid[0] * grid[1] * grid[2], width, device=device, requires_grad=True)
        upstream = torch.randn_like(networks["torchvision"](tokens, grid)[0])
        print(f"{name}, block {number}: {clips} clips of {' x '.join(map(str, grid))} tokens, {width} wide")
        best: dict[str, tuple[float, float]] = {}
        for _ in range(given.repeats):
            for key, network in networks.items():
                choose(key)
                with torch.no_grad(), torch.autocast(device, torch.bfloat16, enabled=half):
                    forward = seconds(partial(network, tokens, grid), device)
                both = seconds(partial(passes, network, tokens, grid, upstream, half), device)
                before = best.get(key, (forward, both))
                best[key] = (min(before[0], forward), min(before[1], both))
        expected = passes(networks["torchvision"], tokens, grid, upstream, half)
        greatest = max(gradient.abs().max().item() for gradient in expected[1])
        for key, network in networks.items():
            choose(key)
            found = passes(network, tokens, grid, upstream, half)
            away = ((found[0] - expected[0]).abs().max() / expected[0].abs().max()).item()
            gradients = max((a - b).abs().max().item() for a, b in zip(found[1], expected[1])) / greatest
            with torch.autocast(device, torch.bfloat16, enabled=half):
                kept = kept_bytes(partial(network, tokens, grid), network.parameters()) / 1e6
            forward, both = (1e3 * value for value in best[key])
            ratio = best["torchvision"][1] / best[key][1]
            print(
                f"  {key:12} forward {forward:8.1f}  both {both:8.1f}  ({ratio:4.2f} times as fast)  "
                f"kept {kept:7.1f} MB  away {away:.0e}, gradients {gradients:.0e}",
                flush=True,
            )


if __name__ == "__main__":
    main()
