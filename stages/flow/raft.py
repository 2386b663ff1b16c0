"""RAFT optical flow (Teed and Deng 2020) by torchvision's networks and weights, a batch of pairs at a time."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from engine.errors import UserError
from stages.nn.foreign import load_foreign, torchvision_file

if TYPE_CHECKING:
    from stages.video.flow_spec import Raft

STRIDE = 8
"""Sides must be multiples of this: the network works at an eighth of the size."""
SHORTEST = 128
"""Shorter sides leave no pixel in the coarsest of the four correlation maps."""
BYTES_PER_PIXEL = 820
"""Peak memory of a batch for each pixel, measured: 720 in the large network's encoder, and 96 for 12 updates."""
BYTES_PER_MATCH = 8
"""The same for each pair of places, at an eighth of the size, whose features are correlated."""


class RaftFlow:
    """Frames uint8 [T, H, W, 3] RGB -> float32 [T - 1, H, W, 2], (u, v) in pixels."""

    def __init__(self, network: nn.Module, updates: int, device: torch.device | str, memory_gb: float) -> None:
        """network: a torchvision RAFT. updates: times the flow is refined. memory_gb: of the device, for one batch."""
        self._network = network.to(device).eval()
        self._updates, self._device, self._memory_gb = updates, torch.device(device), memory_gb

    @torch.no_grad()
    def __call__(self, frames: np.ndarray) -> np.ndarray:
        count, height, width = frames.shape[:3]
        flow = np.zeros((max(count - 1, 0), height, width, 2), np.float32)
        batch = pairs_at_once(height, width, self._memory_gb)
        for start in range(0, len(flow), batch):
            stop = min(start + batch, len(flow))
            images = torch.from_numpy(np.array(frames[start : stop + 1])).to(self._device)
            flow[start:stop] = self._pairs(images).permute(0, 2, 3, 1).cpu().numpy()
        return flow

    def _pairs(self, images: Tensor) -> Tensor:
        """uint8 [N + 1, H, W, 3] -> [N, 2, H, W]."""
        height, width = images.shape[1:3]
        left, right, top, bottom = margins(height, width)
        scaled = images.permute(0, 3, 1, 2).float().div_(127.5).sub_(1)
        padded = F.pad(scaled, (left, right, top, bottom), mode="replicate")
        flow = self._network(padded[:-1], padded[1:], num_flow_updates=self._updates)[-1]
        return flow[:, :, top : top + height, left : left + width]


def open_raft(config: Raft, device: torch.device | str, weights: Path | None, memory_gb: float) -> RaftFlow:
    """The network with its weights, from folder ``weights`` or torch's own cache; nothing is downloaded.

    Raises UserError when the weights are not on this machine, are damaged, or do not exist for the network.
    """
    from torchvision.models import get_model_weights, optical_flow

    kind = f"raft_{config.model}"
    known = [entry.name for entry in get_model_weights(kind)]
    if config.weights not in known:
        raise UserError(f"there are no weights {config.weights} of {kind}, only {', '.join(known)}")
    network = {"small": optical_flow.raft_small, "large": optical_flow.raft_large}[config.model]()
    load_foreign(torchvision_file(kind, config.weights, weights), network)
    return RaftFlow(network, config.updates, device, memory_gb)


def margins(height: int, width: int) -> tuple[int, int, int, int]:
    """Pixels to add left, right, at the top and at the bottom: to a multiple of 8, and to 128 at least."""
    across, down = (max(-(-size // STRIDE) * STRIDE, SHORTEST) - size for size in (width, height))
    return across // 2, across - across // 2, down // 2, down - down // 2


def pairs_at_once(height: int, width: int, memory_gb: float) -> int:
    """Pairs that fit into ``memory_gb``, at least one. Each correlates all places of one frame with all of another."""
    left, right, top, bottom = margins(height, width)
    pixels = (height + top + bottom) * (width + left + right)
    size = BYTES_PER_PIXEL * pixels + BYTES_PER_MATCH * (pixels / STRIDE**2) ** 2
    return max(int(memory_gb * 1e9 / size), 1)
