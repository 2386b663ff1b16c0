"""Parameter groups for an optimiser: layers of a transformer with rates of their own, vectors without weight decay."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any



from stages.nn.encoders import TokenEncoder

_BLOCK = re.compile(r"body\.blocks\.(\d+)\.")


def layer_of(name: str, depth: int) -> int:
    """Number of the layer of a parameter of a ``TokenEncoder`` with ``depth`` blocks.

    0: patch embedding, class token and mask token; i + 1: block i; depth + 1: the norm after the last.
    """
    if block := _BLOCK.match(name):
        return int(block.group(1)) + 1
    return 0 if name.startswith(("body.conv_proj.", "body.pos_encoding.")) or name == "mask_token" else depth + 1


def layer_groups(encoder: TokenEncoder, lr: float, decay: float) -> list[dict[str, Any]]:
    """One group a layer, first to last. base_lr: ``lr`` times ``decay`` for every layer that is still to come.

    A head on top counts as one with the last norm, whose rate is ``lr`` (MaskFeat's finetuning, after BEiT).
    """
    depth = len(encoder.body.blocks)
    groups: list[dict[str, Any]] = [
        {"params": [], "base_lr": lr * decay ** (depth + 1 - layer)} for layer in range(depth + 2)
    ]
    for name, parameter in encoder.named_parameters():
        groups[layer_of(name, depth)]["params"].append(parameter)
    return groups


def spare_vectors(groups: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """The same groups, each parted in two: matrices, and vectors (biases, norms, a class token) without weight decay."""
    parted = []
    for group in groups:
        matrices = [p for p in group["params"] if p.dim() > 1]
        vectors = [p for p in group["params"] if p.dim() <= 1]
        parted.append({**group, "params": matrices})
        parted.append({**group, "params": vectors, "weight_decay": 0.0})
    return [group for group in parted if group["params"]]


