"""The public names of S3D's weights, and of what else is in CoCLR's checkpoints."""

from __future__ import annotations

import pytest

from stages.nn.coclr_names import block_name, public_name, set_aside


@pytest.mark.parametrize(
    "ours, layer, block",
    [
        ("features.0.0.0.weight", "Conv_1a.conv1.weight", "block1.0.conv1.weight"),
        ("features.0.1.1.running_var", "Conv_1a.bn2.running_var", "block1.0.bn2.running_var"),
        ("features.2.0.weight", "Conv_2b.conv.weight", "block2.1.conv.weight"),
        ("features.3.1.0.weight", "Conv_2c.conv2.weight", "block2.2.conv2.weight"),
        ("features.5.branch0.1.bias", "Mixed_3b.branch0.0.bn.bias", "block3.1.branch0.0.bn.bias"),
        ("features.6.branch1.0.0.weight", "Mixed_3c.branch1.0.conv.weight", "block3.2.branch1.0.conv.weight"),
        ("features.12.branch2.1.0.1.bias", "Mixed_4f.branch2.1.bn1.bias", "block4.5.branch2.1.bn1.bias"),
        ("features.15.branch3.1.0.weight", "Mixed_5c.branch3.1.conv.weight", "block5.2.branch3.1.conv.weight"),
    ],
)
def test_names_worked_out_by_hand(ours, layer, block):
    assert public_name(ours) == layer and block_name(layer) == block


def test_a_pool_has_no_name():
    with pytest.raises(KeyError):
        public_name("features.4.weight")


@pytest.mark.parametrize(
    "key, what",
    [
        ("state_dict.module.encoder_k.0.Conv_1a.conv1.weight", "key encoder"),
        ("state_dict.sampler.4.bias", "mining encoder"),
        ("state_dict.module.queue_vname", "queue"),
        ("queue", "queue"),
        ("optimizer.state.0.exp_avg", "optimiser"),
        ("final_fc.1.weight", "classifier"),
        ("state_dict.encoder_q.0.Conv_1a.conv1.weight", None),
        ("state_dict.encoder_q.2.weight", None),
        ("queues.weight", None),
    ],
)
def test_what_is_no_part_of_the_encoder(key, what):
    assert set_aside(key) == what
