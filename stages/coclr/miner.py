"""The network that mines: a frozen copy of the other view's encoder."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from engine.errors import UserError
from engine.run.context import Context
from stages.nn.head import Projection
from stages.nn.weights import load_encoder, load_head
from stages.video.spec import View


class Miner(nn.Module):
    """Clips [N, C, T, H, W] -> unit vectors [N, width] in fp32, in eval mode always, without gradients.

    width: of the head when there is one, else of the encoder's features.
    """

    def __init__(self, encoder: nn.Module, head: nn.Module | None, width: int) -> None:
        super().__init__()
        self.encoder = encoder
        self.head = nn.Identity() if head is None else head
        self.width = width
        self.requires_grad_(False).eval()

    @torch.no_grad()
    def forward(self, clips: Tensor) -> Tensor:
        return F.normalize(self.head(self.encoder(clips)).float(), dim=1)


def load_miner(folder: Path, view: View, dim: int, context: Context) -> Miner:
    """The encoder of ``view`` in ``folder`` with its head of width ``dim``; without one its features are compared.

    Raises UserError when it encodes another kind of view.
    """
    encoder, card = load_encoder(folder)
    if card.view.channels != view.channels:
        raise UserError(
            f"{folder}: its encoder takes {card.view.channels} channels, but view {view.kind!r} has {view.channels}"
        )
    head = Projection(encoder.features, dim, seed=0)  # its weights come from the file, or it is not used
    if load_head(folder, head):
        return Miner(encoder, head, dim)
    context.say(f"{folder.name} has no head of width {dim}: mining compares the features of its encoder")
    return Miner(encoder, None, encoder.features)
