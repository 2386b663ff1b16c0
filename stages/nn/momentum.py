"""The slow copy of a network that makes the keys, and BatchNorm that does not give the answer away."""

from __future__ import annotations

from copy import deepcopy
from typing import TypeVar

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import get_ema_multi_avg_fn

M = TypeVar("M", bound=nn.Module)


def momentum_copy(network: M) -> M:
    """A copy that gets no gradients. It stays in training mode: its BatchNorm has statistics of its own, as MoCo's."""
    return deepcopy(network).requires_grad_(False)


@torch.no_grad()
def momentum_update(slow: nn.Module, network: nn.Module, momentum: float) -> None:
    """slow <- momentum * slow + (1 - momentum) * network, over all parameters."""
    get_ema_multi_avg_fn(momentum)(list(slow.parameters()), list(network.parameters()), None)


def in_groups(network: nn.Module, clips: Tensor, groups: int) -> Tensor:
    """Run a batch in ``groups`` equal parts, so that BatchNorm takes its statistics over each of them alone."""
    if groups == 1:
        return network(clips)
    return torch.cat([network(part) for part in clips.chunk(groups)])


def in_shuffled_groups(network: nn.Module, clips: Tensor, groups: int) -> Tensor:
    """The same over a random order, undone afterwards: a key's companions are not those of its query.

    With ordinary batches a query and its own key share the statistics of the same videos, and the network learns to
    recognise these rather than the content. Draws from torch's global CPU generator.
    """
    if groups == 1:
        return network(clips)
    order = torch.randperm(len(clips)).to(clips.device)
    return in_groups(network, clips[order], groups)[order.argsort()]
