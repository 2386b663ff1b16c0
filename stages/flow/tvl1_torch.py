"""TV-L1 optical flow (Zach, Pock, Bischof 2007) of many pairs at once in plain torch: for GPUs, and CPUs without numba.

The scheme is that of scikit-image's ``optical_flow_tvl1``, to the order of its operations. Memory traffic limits it.
Bytes of float32 that one iteration reads and writes for each pixel:

* in place, operation by operation (``InPlaceStep``): 676, counted by hand: the data step 84, and 296 for each of two
  dual steps (slopes 32, norm 72, dual update 96, divergence 96); two shifted slices of one tensor are read once;
* fused by torch.compile (``pure_step``): 144, which Inductor itself counts for its schedule of four kernels;
* an ideal kernel of one pass: 64 (reads flow, duals, gradient, rest and reciprocal; writes flow and duals).

A pair of 240 x 320 pixels has 5.1 million pixel-iterations by default (four levels, 5 warps of 10). An H100 that moves
3.35 TB/s, its nominal rate, needs at least 1.03 ms a pair in place, 0.22 ms fused, 0.10 ms ideally: at most 970, 4,500
and 10,000 pairs a second. These bounds are computed, not measured; the fused form stays 2.3 times above the ideal one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from stages.flow.pyramid_torch import enlarged, grey, median_filtered, pyramid
from stages.flow.tvl1_step import TAU, State, Step, Weights, choose_step, linearised

if TYPE_CHECKING:
    from stages.video.flow_spec import Tvl1

BYTES_PER_PIXEL = 210
"""Peak memory of a batch for each pixel, measured: 136 in place, 181 as pure functions, 206 with the median filter."""
CPU_PIXELS = 160_000
"""Pixels of a batch on a CPU, so that planes stay in its cache: with 600,000 a pair takes 1.6 times as long."""


def tvl1_flow_torch(
    frames: np.ndarray, config: Tvl1, device: torch.device | str, memory_gb: float, compiled: bool | None = None
) -> np.ndarray:
    """Flow from each frame to the next: RGB uint8 [T, H, W, 3] -> float32 [T - 1, H, W, 2], (u, v) in pixels.

    memory_gb: of the device, for the pairs that are solved at once (at least one pair is). compiled: use torch.compile;
    by default on CUDA only, since a CPU gains nothing from it. Neither changes the result beyond its last bits.
    """
    device = torch.device(device)
    count, height, width = frames.shape[:3]
    flow = np.zeros((max(count - 1, 0), height, width, 2), np.float32)
    if min(height, width) < 2:
        return flow  # a line of pixels has no slope across it
    step = choose_step(device.type == "cuda" if compiled is None else compiled, device, weights_of(config))
    batch = pairs_at_once(height, width, device, memory_gb)
    for start in range(0, len(flow), batch):
        stop = min(start + batch, len(flow))
        images = grey(torch.from_numpy(np.array(frames[start : stop + 1])).to(device))
        flow[start:stop] = tvl1_pairs(images[:-1], images[1:], config, step).cpu().numpy()
    return flow


def weights_of(config: Tvl1) -> Weights:
    """The two numbers of an iteration."""
    return Weights(reach=config.attachment * config.tightness, pull=TAU / config.tightness)


def pairs_at_once(height: int, width: int, device: torch.device, memory_gb: float) -> int:
    """Pairs that fit into ``memory_gb``. On a CPU few, whatever the memory: their planes are to stay in its cache."""
    pairs = memory_gb * 1e9 / (BYTES_PER_PIXEL * height * width)
    if device.type == "cpu":
        pairs = min(pairs, CPU_PIXELS / (height * width))
    return max(int(pairs), 1)


@torch.no_grad()
def tvl1_pairs(first: Tensor, second: Tensor, config: Tvl1, step: Step) -> Tensor:
    """Flow from each of ``first`` to the same of ``second``, grey in [0, 1], float32 [N, H, W]: float32 [N, H, W, 2].

    The pairs may come from several videos of one size; each is solved by itself and ends by itself.
    """
    levels = [pyramid(images, config.downscale, config.nlevel, config.min_size) for images in (first, second)]
    flow = torch.zeros(2, *levels[0][0].shape, device=first.device)
    for one, two in zip(*levels):
        flow = _solve_level(one, two, enlarged(flow, one.shape[1:]), config, step)
    return flow.permute(1, 2, 3, 0)


def _solve_level(first: Tensor, second: Tensor, flow: Tensor, config: Tvl1, step: Step) -> Tensor:
    """Flow [2, N, H, W] of one level from that of the level before. Pairs that have converged leave the batch."""
    weights = weights_of(config)
    limit = config.tol * first[0].numel()
    result = torch.empty_like(flow)
    rows = torch.arange(len(first), device=first.device)
    state = State(flow, *(torch.zeros_like(flow) for _ in range(3)))
    for warp in range(config.num_warp):
        before = state.flow.clone() if config.prefilter else None
        if config.prefilter:
            state = state._replace(flow=median_filtered(state.flow))
        linear = linearised(first, second, state.flow)
        for number in range(config.num_iter):
            state = step(state, linear, weights)
            if before is None:
                # without the filter, scikit-image's first data step overwrites the flow that it will compare with
                before = state.auxiliary.clone()
        if warp + 1 == config.num_warp:
            break
        changed = before.sub_(state.flow).square_().sum((0, 2, 3))
        going = torch.nonzero(~(changed < limit))[:, 0]  # the one point in a warp where the host waits
        if len(going) < len(rows):
            result[:, rows] = state.flow
            first, second, rows = first[going], second[going], rows[going]
            state = State(*(part[:, going] for part in state))
            if not len(going):
                return result
    result[:, rows] = state.flow
    return result
