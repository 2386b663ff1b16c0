"""The names that SlowFast's public code gives to the weights of MViTs and MaskFeat, and to all else in its checkpoints.

Its blocks are the ones of torchvision's ``mvit``, weight by weight, under other names. Some files hold the
projections to queries, keys and values apart, others in one, as torchvision does.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

_WHOLE = {
    "conv_proj.weight": "patch_embed.proj.weight",
    "conv_proj.bias": "patch_embed.proj.bias",
    "pos_encoding.class_token": "cls_token",
    "norm.weight": "norm.weight",
    "norm.bias": "norm.bias",
}

_PARTS = {
    "norm1": "norm1",
    "norm2": "norm2",
    "project": "proj",
    "mlp.0": "mlp.fc1",
    "mlp.3": "mlp.fc2",
    "attn.qkv": "attn.qkv",
    "attn.project.0": "attn.proj",
    "attn.pool_q.pool": "attn.pool_q",
    "attn.pool_k.pool": "attn.pool_k",
    "attn.pool_v.pool": "attn.pool_v",
    "attn.pool_q.norm_act.0": "attn.norm_q",
    "attn.pool_k.norm_act.0": "attn.norm_k",
    "attn.pool_v.norm_act.0": "attn.norm_v",
}
"""Place of a layer in a block -> public name."""

_ASIDE = {
    "mask_token": "mask token",
    "pred_head": "prediction head",
    "hogs": "HOG layer",
    "head": "classifier",
    "optimizer_state": "optimiser",
    "scaler_state": "optimiser",
}

ABSENT_AFTER_PRETRAINING = ("norm.weight", "norm.bias")
"""Weights that MaskFeat's pre-training does without: its prediction head has a norm of its own."""


def public_name(name: str) -> str:
    """Public name of a weight of torchvision's ``MViT``: ``blocks.3.mlp.0.bias`` is ``blocks.3.mlp.fc1.bias``.

    Raises KeyError for a name that is none of its features'.
    """
    if name in _WHOLE:
        return _WHOLE[name]
    blocks, number, rest = name.split(".", 2)
    if blocks != "blocks":
        raise KeyError(name)
    if rest.startswith("attn.rel_pos_"):
        return name
    layer, last = rest.rsplit(".", 1)
    return f"blocks.{number}.{_PARTS[layer]}.{last}"


def join_projections(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """``state`` with each trio ``attn.q``, ``attn.k``, ``attn.v`` as ``attn.qkv``, but for trios that are not whole."""
    joined: dict[str, Tensor] = dict(state)
    for key in state:
        stem, _, last = key.rpartition(".attn.q.")
        trio = [f"{stem}.attn.{part}.{last}" for part in "qkv"]
        if stem and all(part in state for part in trio):
            joined[f"{stem}.attn.qkv.{last}"] = torch.cat([joined.pop(part) for part in trio])
    return joined


def set_aside(key: str) -> str | None:
    """What else a weight of a checkpoint belongs to, if not to the encoder."""
    return next((_ASIDE[part] for part in key.split(".") if part in _ASIDE), None)
