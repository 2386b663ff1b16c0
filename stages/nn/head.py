"""Projection heads: used while training, dropped afterwards."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from stages.nn.encoders import VideoEncoder


class Projection(nn.Sequential):
    """Two layers with a ReLU between, as wide as the features, no BatchNorm: CoCLR's head. [N, features] -> [N, dim]."""

    def __init__(self, features: int, dim: int, seed: int) -> None:
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(seed)
            super().__init__(nn.Linear(features, features), nn.ReLU(inplace=True), nn.Linear(features, dim))


class Embedder(nn.Module):
    """An encoder and its head: clips [N, C, T, H, W] -> unit vectors [N, dim] in fp32."""

    def __init__(self, encoder: VideoEncoder, head: Projection) -> None:
        super().__init__()
        self.encoder = encoder
        self.head = head

    def forward(self, clips: Tensor) -> Tensor:
        return F.normalize(self.head(self.encoder(clips)).float(), dim=1)
