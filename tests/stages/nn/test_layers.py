"""Rates of layers and weight decay, by hand on the names that networks really have."""

from __future__ import annotations

import pytest
import torch

from stages.nn.encoders import build_encoder
from stages.nn.layers import layer_groups, layer_of, spare_vectors
from stages.nn.spec import MaskFeatMvit, SmallMvit


def test_rates_of_maskfeats_small_network():
    """Sheet section 4.2: sixteen blocks at 0.75, so that the patch embedding learns at 0.75 to the 17th, 0.0075."""
    with torch.device("meta"):
        encoder = build_encoder(MaskFeatMvit(kind="maskfeat_s"), 3, seed=0)
    groups = layer_groups(encoder, 1.0, 0.75)
    assert len(groups) == 18
    assert [g["base_lr"] for g in groups] == pytest.approx([0.75**n for n in range(17, -1, -1)])
    rates = {id(p): g["base_lr"] for g in groups for p in g["params"]}
    names = dict(encoder.named_parameters())
    assert len(rates) == len(names) == sum(len(g["params"]) for g in groups)
    expected = {
        "body.conv_proj.weight": 0.75**17,
        "body.pos_encoding.class_token": 0.75**17,
        "mask_token": 0.75**17,
        "body.blocks.0.norm1.weight": 0.75**16,
        "body.blocks.15.attn.rel_pos_h": 0.75,
        "body.norm.weight": 1.0,
    }
    for name, rate in expected.items():
        assert rates[id(names[name])] == pytest.approx(rate), name
    assert round(0.75**17, 4) == 0.0075


def test_layers_of_names():
    assert [layer_of(f"body.blocks.{i}.mlp.0.bias", 12) for i in (0, 1, 10, 11)] == [1, 2, 11, 12]
    assert layer_of("body.norm.bias", 12) == 13


def test_vectors_are_spared_and_keep_their_rates():
    encoder = build_encoder(SmallMvit(kind="mvit_small", width=8, blocks=(1, 1)), 3, seed=0)
    groups = spare_vectors(layer_groups(encoder, 1e-3, 0.5))
    optim = torch.optim.AdamW(groups, lr=1e-3, weight_decay=0.05)
    found = {id(p): g for g in optim.param_groups for p in g["params"]}
    for name, parameter in encoder.named_parameters():
        group = found[id(parameter)]
        assert group["weight_decay"] == (0.05 if parameter.dim() > 1 else 0.0), name
        assert group["base_lr"] == pytest.approx(1e-3 * 0.5 ** (3 - layer_of(name, 2))), name
