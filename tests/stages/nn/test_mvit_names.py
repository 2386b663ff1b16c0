"""The public names of MViT's weights, and of what else is in SlowFast's checkpoints."""

from __future__ import annotations

import pytest
import torch

from stages.nn.mvit_names import join_projections, public_name, set_aside


@pytest.mark.parametrize(
    "ours, public",
    [
        ("conv_proj.weight", "patch_embed.proj.weight"),
        ("pos_encoding.class_token", "cls_token"),
        ("blocks.0.norm1.weight", "blocks.0.norm1.weight"),
        ("blocks.2.project.bias", "blocks.2.proj.bias"),
        ("blocks.13.mlp.0.weight", "blocks.13.mlp.fc1.weight"),
        ("blocks.13.mlp.3.bias", "blocks.13.mlp.fc2.bias"),
        ("blocks.4.attn.qkv.weight", "blocks.4.attn.qkv.weight"),
        ("blocks.4.attn.project.0.weight", "blocks.4.attn.proj.weight"),
        ("blocks.4.attn.pool_k.pool.weight", "blocks.4.attn.pool_k.weight"),
        ("blocks.4.attn.pool_v.norm_act.0.bias", "blocks.4.attn.norm_v.bias"),
        ("blocks.15.attn.rel_pos_t", "blocks.15.attn.rel_pos_t"),
        ("norm.bias", "norm.bias"),
    ],
)
def test_names_worked_out_by_hand(ours, public):
    assert public_name(ours) == public


@pytest.mark.parametrize("name", ["head.1.weight", "blocks.0.mlp.1.weight", "stages.0.norm1.weight"])
def test_what_has_no_name(name):
    with pytest.raises(KeyError):
        public_name(name)


def test_three_projections_become_one():
    q, k, v = (torch.full((2, 3), float(i)) for i in range(3))
    trio = {"m.blocks.0.attn.k.weight": k, "m.blocks.0.attn.q.weight": q, "m.blocks.0.attn.v.weight": v}
    state = trio | {"m.norm.bias": q}
    joined = join_projections(state)
    assert joined.keys() == {"m.blocks.0.attn.qkv.weight", "m.norm.bias"}
    assert joined["m.blocks.0.attn.qkv.weight"][:, 0].tolist() == [0, 0, 1, 1, 2, 2]


def test_a_trio_that_is_not_whole_stays_apart():
    state = {"blocks.0.attn.q.weight": torch.zeros(2, 2), "blocks.0.attn.k.weight": torch.zeros(2, 2)}
    assert join_projections(state).keys() == state.keys()


@pytest.mark.parametrize(
    "key, what",
    [
        ("model_state.mask_token", "mask token"),
        ("model_state.pred_head.projections.0.weight", "prediction head"),
        ("model_state.hogs.0.weight_x", "HOG layer"),
        ("model_state.head.projection.bias", "classifier"),
        ("optimizer_state.state.0.exp_avg", "optimiser"),
        ("model_state.blocks.0.attn.proj.weight", None),
        ("model_state.cls_token", None),
    ],
)
def test_what_is_no_part_of_the_encoder(key, what):
    assert set_aside(key) == what
