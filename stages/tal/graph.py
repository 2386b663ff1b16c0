"""GCNeXt: a layer over the snippets of a video as a graph, with edges in time and between snippets that look alike.

G-TAD (Xu et al., CVPR 2020), section 3. Snippets are picked by products with 0/1 matrices rather than by indices, so
that gradients are deterministic on CUDA as well.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

GROUPS = 32
"""Paths of a GCNeXt layer: the groups of its middle convolutions."""


@torch.no_grad()
def nearest(features: Tensor, count: int) -> Tensor:
    """The ``count`` nearest snippets of each by Euclidean distance, itself first; equal ones in their order in time.

    features: [B, C, L]. Returns int64 [B, L, min(count, L)].
    """
    points = features.detach().float().transpose(1, 2).contiguous()
    distances = torch.cdist(points, points, compute_mode="donot_use_mm_for_euclid_dist")
    own = torch.eye(points.shape[1], dtype=torch.bool, device=points.device)
    return distances.masked_fill(own, -1).sort(dim=-1, stable=True).indices[..., :count]


def picking(neighbours: Tensor, dtype: torch.dtype) -> Tensor:
    """Matrices that pick neighbours: ``features [B, C, L] @ picking`` is [B, C, L * k], those of a snippet together.

    neighbours: int64 [B, L, k]. Returns 0/1 [B, L, L * k].
    """
    snippets = torch.arange(neighbours.shape[1], device=neighbours.device)
    return (snippets[:, None] == neighbours.flatten(1)[:, None, :]).to(dtype)


def neighbour_mean(features: Tensor, count: int) -> Tensor:
    """The mean of each snippet's ``count`` nearest ones, itself counted: [B, C, L] -> [B, C, L]."""
    neighbours = nearest(features, count)
    total = features @ picking(neighbours, features.dtype).unflatten(-1, neighbours.shape[1:]).sum(-1)
    return total / neighbours.shape[-1]


class GCNeXt(nn.Module):
    """relu(x + temporal(x) + semantic(x)): features [B, C, L] -> [B, C, L], C a multiple of 64.

    temporal: convolutions along time. semantic: of each pair of a snippet and one of its ``neighbours`` nearest,
    found anew from x; the maximum over them. Both narrow to C / 2 channels in 32 groups.
    """

    def __init__(self, channels: int, neighbours: int = 3) -> None:
        super().__init__()
        width = channels // 2
        self.neighbours = neighbours
        self.temporal = nn.Sequential(
            nn.Conv1d(channels, width, 1),
            nn.ReLU(inplace=True),
            nn.Conv1d(width, width, 3, padding=1, groups=GROUPS),
            nn.ReLU(inplace=True),
            nn.Conv1d(width, channels, 1),
        )
        self.edge = nn.Conv1d(2 * channels, width, 1)
        self.semantic = nn.Sequential(
            nn.ReLU(inplace=True),
            nn.Conv1d(width, width, 1, groups=GROUPS),
            nn.ReLU(inplace=True),
            nn.Conv1d(width, channels, 1),
        )

    def forward(self, features: Tensor) -> Tensor:
        neighbours = nearest(features, self.neighbours)
        # The convolution of [neighbour; self] is the sum of one of each, taken before they are paired: k times less
        # work.
        of_neighbour, of_self = self.edge.weight.chunk(2, dim=1)
        others = functional.conv1d(features, of_neighbour)
        own = functional.conv1d(features, of_self, self.edge.bias)
        pairs = (others @ picking(neighbours, others.dtype)).unflatten(-1, neighbours.shape[1:]) + own[..., None]
        semantic = self.semantic(pairs.flatten(2)).unflatten(-1, neighbours.shape[1:]).max(-1).values
        return functional.relu(features + self.temporal(features) + semantic)
