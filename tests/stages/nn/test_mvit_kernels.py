"""MViT's blocks in another order of computation, against torchvision's own and plain loops."""

from __future__ import annotations

import copy

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.nn import functional as F
from torchvision.models.video import mvit

from stages.nn import mvit_kernels
from stages.nn.mvit import MViT, resize_table
from stages.nn.mvit_kernels import (
    FusedAttention,
    SkipPool,
    TokenPool,
    depthwise,
    one_hot_places,
    relative_rows,
    stretch,
    use_fast_kernels,
)
from stages.nn.mvit_layouts import Layout
from stages.nn.precision import numbers

LAYOUTS = [
    Layout(width=8, heads=1, stages=(1, 2, 1), grow="mlp", last_stride=False, frames=8, size=32),
    Layout(width=8, heads=2, stages=(1, 1), grow="attention", frames=4, size=32),
]


def gradients(network: MViT, clips: Tensor) -> dict[str, Tensor]:
    clips = clips.clone().requires_grad_()
    network.zero_grad()
    out = network(clips)
    (out * torch.linspace(-1, 1, out.numel(), dtype=out.dtype).view_as(out)).sum().backward()
    found = {name: p.grad for name, p in network.named_parameters()}
    return found | {"clips": clips.grad, "out": out.detach()}


@pytest.mark.parametrize("fused", [False, True])
@pytest.mark.parametrize("shape", [(8, 32, 32), (4, 48, 20)])
@pytest.mark.parametrize("layout", LAYOUTS)
def test_vectors_and_all_gradients_are_torchvisions(layout, shape, fused, monkeypatch):
    torch.manual_seed(0)
    stock = MViT(layout).double()
    fast = copy.deepcopy(stock)
    use_fast_kernels(fast)
    if fused:  # what GPUs get
        monkeypatch.setitem(mvit_kernels.KERNELS, "plain", mvit_kernels.fused_attention)
    clips = torch.randn(2, 3, *shape, dtype=torch.double)
    expected, found = gradients(stock, clips), gradients(fast, clips)
    assert expected.keys() == found.keys()
    for name, value in expected.items():
        torch.testing.assert_close(found[name], value, rtol=1e-9, atol=1e-11, msg=name)


def test_every_costly_part_is_exchanged_and_names_stay():
    stock = MViT(LAYOUTS[0])
    names = list(stock.state_dict())
    use_fast_kernels(stock)
    kinds = [type(part) for part in stock.modules()]
    assert list(stock.state_dict()) == names
    assert (kinds.count(FusedAttention), kinds.count(TokenPool), kinds.count(SkipPool)) == (4, 12, 1)
    assert mvit.MultiscaleAttention not in kinds and mvit.Pool not in kinds


def test_a_training_step_as_stages_take_it_is_the_same_every_time():
    """Weights channels last, flat kernels, stochastic depth; on the CPU of a stage, with deterministic algorithms alone."""
    choice = numbers("fp32", torch.device("cpu"))
    torch.manual_seed(0)
    network = MViT(LAYOUTS[0], drop_path=0.2)
    plain = copy.deepcopy(network)
    use_fast_kernels(network)
    network = choice.place(network)
    clips = torch.randn(2, 3, 8, 32, 32)
    torch.use_deterministic_algorithms(True)
    try:
        torch.manual_seed(1)
        first = gradients(network, choice.lay_out(clips))
        torch.manual_seed(1)
        again = gradients(network, choice.lay_out(clips))
    finally:
        torch.use_deterministic_algorithms(False)
    assert all(torch.equal(first[name], again[name]) for name in first)
    torch.manual_seed(1)
    for name, value in gradients(plain, clips).items():
        torch.testing.assert_close(first[name], value, rtol=1e-3, atol=1e-4, msg=name)


def fill_free_memory_with_nan() -> None:
    """Memory that is used again holds what was there before, as torch's bf16 gradient of a depthwise volume shows."""
    sizes = [*(2**power for power in range(3, 19)), 100, 1000]
    kept = [torch.full((size,), torch.nan) for size in sizes for _ in range(20)]
    del kept


def test_half_precision_as_training_uses_it():
    torch.manual_seed(0)
    network = MViT(LAYOUTS[0])
    use_fast_kernels(network)
    clips = torch.randn(2, 3, 4, 32, 32)
    exact = network(clips)
    fill_free_memory_with_nan()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        rough = network(clips)
    assert (rough - exact).norm() < 0.05 * exact.norm()
    fill_free_memory_with_nan()
    rough.float().square().sum().backward()
    assert all(torch.isfinite(p.grad).all() for p in network.parameters())


@pytest.mark.parametrize("stride", [1, 2, 4])
@pytest.mark.parametrize("frames, kernel", [(1, 3), (2, 3), (5, 3), (2, 5)])
def test_depthwise_convolution_and_its_gradient(frames, kernel, stride):
    maps = torch.randn(2, frames, 5, 6, 3, dtype=torch.double, requires_grad=True)
    weight = torch.randn(3, 1, kernel, 3, 3, dtype=torch.double, requires_grad=True)
    given_stride, padding = (1, stride, stride), (kernel // 2, 1, 1)
    volumes = F.conv3d(maps.permute(0, 4, 1, 2, 3), weight, None, given_stride, padding, groups=3)
    expected = volumes.permute(0, 2, 3, 4, 1)
    found = depthwise(maps, weight, given_stride, padding)
    torch.testing.assert_close(found, expected)
    upstream = torch.randn_like(found)
    for ours, theirs in zip(
        torch.autograd.grad(found, (maps, weight), upstream), torch.autograd.grad(expected, (maps, weight), upstream)
    ):
        torch.testing.assert_close(ours, theirs)


def test_relative_rows_by_hand():
    """Four queries over two keys, which stand at 0 and 2 of the queries' places; rows are distances -3 to 3."""
    table = torch.arange(-3.0, 4).unsqueeze(1)
    rows = relative_rows(table, 4, 2).squeeze(2)
    # a query's place less the key's, and the last key lies 2 after the first, so that distance 0 is row 2
    assert rows.tolist() == [[-1, -3], [0, -2], [1, -1], [2, 0]]
    assert relative_rows(table[1:6], 3, 3).squeeze(2).tolist() == [[0, -1, -2], [1, 0, -1], [2, 1, 0]]


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 9), st.integers(1, 9), st.integers(1, 12))
def test_relative_rows_are_within_the_table_and_torchvisions(queries, keys, length):
    """torchvision's sum for tokens along one axis, with queries that read one number of the table each."""
    torch.manual_seed(0)
    table, zero = torch.randn(length, 4, dtype=torch.double), torch.zeros(1, 4, dtype=torch.double)
    query = torch.randn(1, 1, 1 + queries, 4, dtype=torch.double)
    logits = torch.zeros(1, 1, 1 + queries, 1 + keys, dtype=torch.double)
    expected = mvit._add_rel_pos(logits, query, (1, queries, 1), (1, keys, 1), table, zero, zero)[0, 0, 1:, 1:]
    found = torch.einsum("qd,qkd->qk", query[0, 0, 1:], relative_rows(table, queries, keys))
    torch.testing.assert_close(found, expected)


@pytest.mark.parametrize("before, after", [(7, 7), (7, 13), (13, 7), (1, 5), (15, 1)])
def test_a_stretched_table_is_a_resized_one(before, after):
    table = torch.randn(before, 3)
    torch.testing.assert_close(stretch(table, after), resize_table(table, after))


def test_places_by_hand():
    places = one_hot_places((2, 1, 2), torch.zeros(1))
    assert places.tolist() == [[1, 0, 1, 1, 0], [1, 0, 1, 0, 1], [0, 1, 1, 1, 0], [0, 1, 1, 0, 1]]
