"""The graph layer: neighbours by hand, and the layer against one that pairs snippets before it convolves."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional

from stages.tal.graph import GCNeXt, nearest, neighbour_mean, picking


def test_neighbours_by_hand():
    features = torch.tensor([[[0.0, 10.0, 1.0, 12.0, 3.0]]])
    assert nearest(features, 3)[0].tolist() == [[0, 2, 4], [1, 3, 4], [2, 0, 4], [3, 1, 4], [4, 2, 0]]
    assert neighbour_mean(features, 2)[0, 0].tolist() == [0.5, 11, 0.5, 11, 2]


def test_equal_snippets_come_in_their_order_but_itself_first():
    assert nearest(torch.zeros(1, 4, 5), 3)[0].tolist() == [[0, 1, 2], [1, 0, 2], [2, 0, 1], [3, 0, 1], [4, 0, 1]]


def test_fewer_snippets_than_neighbours():
    assert nearest(torch.randn(2, 4, 2), 3).shape == (2, 2, 2)
    assert GCNeXt(64)(torch.randn(2, 64, 1)).shape == (2, 64, 1)


def test_picking_is_indexing():
    torch.manual_seed(0)
    features = torch.randn(2, 4, 6)
    neighbours = nearest(features, 3)
    picked = (features @ picking(neighbours, features.dtype)).unflatten(-1, (6, 3))
    for video in range(2):
        assert torch.equal(picked[video], features[video][:, neighbours[video]])


def test_parameters():
    assert sum(weight.numel() for weight in GCNeXt(256).parameters()) == 166_912


@pytest.mark.parametrize("neighbours", [1, 3])
def test_layer_equals_pairing_first(neighbours):
    torch.manual_seed(0)
    layer = GCNeXt(64, neighbours)
    features = torch.randn(2, 64, 9)
    found = nearest(features, neighbours)
    pairs = torch.stack(
        [
            torch.stack(
                [torch.cat([video[:, other], video[:, [i]].expand(-1, neighbours)]) for i, other in enumerate(rows)], 1
            )
            for video, rows in zip(features, found)
        ]
    )  # [B, 2 C, L, k]
    hidden = functional.conv2d(pairs, layer.edge.weight[..., None], layer.edge.bias).relu()
    hidden = functional.conv2d(hidden, layer.semantic[1].weight[..., None], layer.semantic[1].bias, groups=32).relu()
    semantic = functional.conv2d(hidden, layer.semantic[3].weight[..., None], layer.semantic[3].bias).amax(-1)
    expected = (features + layer.temporal(features) + semantic).relu()
    torch.testing.assert_close(layer(features), expected, rtol=1e-4, atol=1e-6)
