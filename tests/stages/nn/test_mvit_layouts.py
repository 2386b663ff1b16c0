"""Layouts of MViTs against torchvision's own, the lists of the public configuration, and the published sizes."""

from __future__ import annotations

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode
from torchvision.models import video

from stages.nn.mvit import MViT
from stages.nn.mvit_layouts import Layout, layout_of, maskfeat_l, maskfeat_s, mvit_v2_s
from stages.nn.spec import MaskFeatMvit, MvitV2, SmallMvit


def test_mvit_v2_s_is_torchvisions_block_by_block():
    with torch.device("meta"):
        ours, theirs = MViT(mvit_v2_s(), drop_path=0.2), video.mvit_v2_s()
    assert str(ours.blocks) == str(theirs.blocks) and str(ours.conv_proj) == str(theirs.conv_proj)
    shapes = {name: tensor.shape for name, tensor in theirs.state_dict().items() if not name.startswith("head.")}
    assert {name: tensor.shape for name, tensor in ours.state_dict().items()} == shapes


@pytest.mark.parametrize("last_stride, end", [(True, (2, 1)), (False, (1, 2))])
def test_maskfeat_s_by_hand(last_stride, end):
    blocks = maskfeat_s(last_stride).blocks()
    assert [b.input_channels for b in blocks] == [96, 192, 192] + [384] * 11 + [768] * 2
    assert [b.output_channels for b in blocks] == [192, 192] + [384] * 11 + [768] * 3
    assert [b.num_heads for b in blocks] == [1, 2, 2] + [4] * 11 + [8] * 2
    query, key = end
    assert [b.stride_q for b in blocks] == [[1, s, s] for s in [1, 2, 1, 2] + [1] * 10 + [query, 1]]
    assert [b.stride_kv for b in blocks] == [[1, s, s] for s in [8, 4, 4] + [2] * 11 + [key] * 2]


def test_maskfeat_l_by_hand():
    blocks = maskfeat_l().blocks()
    assert [i for i, b in enumerate(blocks) if b.stride_q == [1, 2, 2]] == [2, 8, 44] and len(blocks) == 48
    assert [i for i, b in enumerate(blocks) if b.output_channels == 2 * b.input_channels] == [1, 7, 43]
    assert (blocks[0].num_heads, blocks[-1].num_heads, blocks[-1].output_channels) == (2, 16, 1152)


def test_a_small_one_has_what_its_spec_says():
    fields = {"width": 16, "blocks": (1, 3), "patch": 2, "last_stride": False, "table_frames": 4, "table_size": 32}
    spec = SmallMvit(kind="mvit_small", **fields)
    assert layout_of(spec) == Layout(16, 1, (1, 3), "mlp", False, (2, 2), 4, 32)
    assert [b.stride_kv[1] for b in layout_of(spec).blocks()] == [2, 2, 2, 2]
    assert layout_of(MvitV2(kind="mvit_v2_s")) == mvit_v2_s()
    assert layout_of(MaskFeatMvit(kind="maskfeat_l", last_stride=False)) == maskfeat_l(False)


@pytest.mark.parametrize(
    "layout, frames, size, multiply_adds, parameters",
    [
        (mvit_v2_s(), 16, 224, 64.22, 34_537_744),
        (mvit_v2_s(last_stride=False), 16, 224, 79.5, None),
        (maskfeat_s(), 16, 224, 71.16, 36.48e6),
        (maskfeat_s(last_stride=False), 16, 224, 86.5, None),
        (maskfeat_l(), 16, 224, 377, 218e6),
        (mvit_v2_s(last_stride=False), 8, 64, 2.7, None),
        (mvit_v2_s(last_stride=False), 8, 128, 10.9, None),
        (mvit_v2_s(last_stride=False), 16, 64, 5.4, None),
        (mvit_v2_s(last_stride=False), 16, 112, 17.2, None),
    ],
)
def test_arithmetic_and_parameters_as_published(layout, frames, size, multiply_adds, parameters):
    """Multiply-adds of the encoder, in 1e9; parameters with a classifier of 400 classes."""
    with torch.device("meta"):
        network, clip = MViT(layout), torch.empty(1, 3, frames, size, size)
    with FlopCounterMode(display=False) as counter:
        network(clip)
    last_digit = 0.5 * 10.0 ** -len(str(multiply_adds).partition(".")[2])
    assert counter.get_total_flops() / 2e9 == pytest.approx(multiply_adds, abs=last_digit)
    if parameters:
        count = sum(p.numel() for p in network.parameters()) + 400 * (network.features + 1)
        assert count == pytest.approx(parameters, rel=0 if isinstance(parameters, int) else 2e-3)
