"""Encoder and head as one network: snippets of videos in, what the head says of them out."""

from __future__ import annotations

from torch import Tensor, nn

from stages.nn.chunked import chunked
from stages.nn.encoders import VideoEncoder
from stages.nn.frozen_norm import freeze_norms
from stages.tal.gtad import Gtad, HeadOutput


class EndToEnd(nn.Module):
    """Clips of B videos of L snippets -> HeadOutput. chunk: snippets that are encoded at a time, see ``chunked``."""

    def __init__(self, encoder: VideoEncoder, head: Gtad, chunk: int | None, frozen_norm: bool) -> None:
        super().__init__()
        self.encoder = encoder
        self.head = head
        self.chunk = chunk
        self.frozen_norm = frozen_norm

    def train(self, mode: bool = True) -> EndToEnd:
        """Training mode, but for BatchNorm where it is frozen."""
        super().train(mode)
        if self.frozen_norm:
            freeze_norms(self.encoder)
        return self

    def forward(self, clips: Tensor, videos: int) -> HeadOutput:
        """clips: [B * L, C, T, H, W], normalised, the snippets of a video one after another; videos: B."""
        features = chunked(self.encoder, clips, self.chunk).unflatten(0, (videos, -1))
        return self.head(features.transpose(1, 2))
