"""Encoding many clips in the memory of a few: activation checkpointing over the axis of clips.

Chen et al.: "Training Deep Nets with Sublinear Memory Cost" (2016), each chunk of clips being one segment: the forward
pass keeps its vectors only, and the backward pass computes the chunk once more to get its gradients. All gradients are
exact; the price is a second forward pass.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from stages.nn.frozen_norm import frozen_norms, moving_norms


def chunked(encoder: nn.Module, clips: Tensor, chunk: int | None) -> Tensor:
    """``encoder(clips)``, at most ``chunk`` clips at a time; without ``chunk`` all at once, and nothing twice.

    clips: [N, ...]. Returns [N, features], the same as ``encoder(clips)``, and with the same gradients, up to the order
    of summation over clips. Random layers (dropout) draw the same numbers again in the backward pass.
    Raises ValueError while a BatchNorm takes statistics over the batch: a chunk's differ from the batch's, and the
    second pass would move the running ones twice. Freeze them first, see ``stages.nn.frozen_norm``.
    """
    if chunk is None:
        return encoder(clips)
    if chunk < 1:
        raise ValueError(f"a chunk holds 1 clip at least, not {chunk}")
    if moving := moving_norms(encoder):
        raise ValueError(
            f"chunks need BatchNorm with fixed statistics, and {len(moving)} of the encoder's take them over the batch "
            f"(the first is {moving[0]}): freeze them, or encode all clips at once"
        )

    def encode(part: Tensor) -> Tensor:
        # The backward pass may come when somebody has put the network back into training mode: it must do as before.
        with frozen_norms(encoder):
            return encoder(part)

    parts = clips.split(chunk)
    if not torch.is_grad_enabled():
        return torch.cat([encode(part) for part in parts])
    return torch.cat([checkpoint(encode, part, use_reentrant=False) for part in parts])
