"""SGAlign: by hand, against a loop over samples, and its gradient; the cheaper form against the whole map."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
import torch

from stages.nn.activations import kept_bytes
from stages.tal.align import AlignedConv, window_sampling
from stages.tal.gtad import build_gtad
from stages.tal.head_spec import Head
from stages.tal.label_maps import valid_cells
from tests.stages.tal.plain_head import map_sampling, map_then_convolution, plain_bins

SMALL = Head(channels=64, align_bins=5, context_bins=2)


def dense(snippets: int, bins: int) -> np.ndarray:
    """Sampling weights [cells, L, bins]."""
    entries = window_sampling(snippets, bins)
    matrix = np.zeros((snippets * (snippets + 1) // 2, snippets * bins))
    np.add.at(matrix, (entries.row, entries.column), entries.weight)
    return matrix.reshape(-1, snippets, bins)


def test_window_by_hand():
    # Cell (0, 1) of 3 snippets samples [0.5, 1.5]; in two bins at 0.75 and 1.25. Cell (2, 0) samples [-1.5, 3.5]:
    # five bins of one snippet with samples at -1 (which still takes snippet 0), 0, 1, 2 and 3 (snippet 2).
    weights = dense(3, 2)
    cells = list(zip(*(column.tolist() for column in valid_cells(3))))
    assert cells == [(0, 0), (0, 1), (0, 2), (1, 0), (1, 1), (2, 0)]
    assert weights[1].T.tolist() == [[0.25, 0.75, 0], [0, 0.75, 0.25]]
    assert dense(3, 5)[5].T.tolist() == [[1, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1], [0, 0, 1]]


def test_samples_further_than_a_snippet_outside_are_zero():
    # Cell (3, 0) of 4 snippets samples [-2, 5] in seven bins: at -1.5 and 4.5 there is nothing.
    assert dense(4, 7)[-1].sum(0).tolist() == [0, 1, 1, 1, 1, 1, 0]
    assert dense(4, 7)[-1][:, 3].tolist() == [0, 0.5, 0.5, 0]


@pytest.mark.parametrize(("snippets", "bins"), [(1, 4), (2, 3), (7, 1), (16, 4), (9, 32)])
def test_sampling_equals_a_loop_over_samples(snippets, bins):
    rng = np.random.default_rng(snippets)
    values = rng.integers(-50, 50, snippets)
    expected = [
        [float(value) for value in plain_bins([Fraction(int(v)) for v in values], duration, start, bins)]
        for duration, start in zip(*valid_cells(snippets))
    ]
    found = np.einsum("ctr,t->cr", dense(snippets, bins), values)
    np.testing.assert_allclose(found, expected, atol=1e-12)


@pytest.mark.parametrize(("batch", "snippets"), [(1, 1), (3, 2), (2, 9), (1, 25)])
def test_cheaper_form_equals_the_map_with_its_convolution(batch, snippets):
    head = build_gtad(8, SMALL, seed=1)
    samplings = [map_sampling(snippets, bins) for bins in head.align.bins]
    features = torch.randn(batch, 8, snippets, generator=torch.Generator().manual_seed(0))
    weights = list(head.parameters())
    results = {}
    for name, output in {"ours": head(features), "map": map_then_convolution(head, features, samplings)}.items():
        loss = sum((part * torch.linspace(-1, 1, part.numel()).view_as(part)).sum() for part in output)
        results[name] = [*output, *torch.autograd.grad(loss, weights)]
    for ours, expected in zip(results["ours"], results["map"]):
        torch.testing.assert_close(ours, expected, rtol=1e-4, atol=2e-6)


def test_gradient_is_that_of_finite_differences():
    torch.manual_seed(0)
    align = AlignedConv(4, 3, align_bins=3, context_bins=2, neighbours=2)
    features = torch.randn(2, 4, 5)
    towards, wanted = torch.randn_like(features), torch.randn(2, 15, 3)
    inputs = features.clone().requires_grad_()
    (align(inputs) * wanted).sum().backward()
    step = 1e-2  # the layer is linear while the neighbours stay the same, so a coarse step is exact
    with torch.no_grad():
        change = (align(features + step * towards) - align(features - step * towards)) / (2 * step)
    assert (inputs.grad * towards).sum().item() == pytest.approx((change * wanted).sum().item(), rel=1e-3)


def test_a_video_is_the_same_alone_and_in_a_batch_and_at_any_length_in_turn():
    torch.manual_seed(0)
    align = AlignedConv(8, 4)
    videos = torch.randn(3, 8, 12)
    together = align(videos)
    shorter = align(videos[:, :, :5])
    assert together.shape == (3, 78, 4) and shorter.shape == (3, 15, 4)
    for video, expected in zip(videos, align(videos)):
        torch.testing.assert_close(align(video[None])[0], expected, rtol=1e-5, atol=1e-6)
    assert torch.equal(align(videos), together)


def test_under_autocast_sampling_stays_exact():
    torch.manual_seed(0)
    align = AlignedConv(8, 4)
    videos = torch.randn(1, 8, 6)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = align(videos)
    assert found.dtype == torch.float32
    torch.testing.assert_close(found, align(videos), rtol=0.02, atol=0.01)


def test_the_map_of_9216_channels_never_exists():
    head = build_gtad(512, Head(), seed=0)
    snippets = 40
    features = torch.randn(1, 512, snippets)
    kept = kept_bytes(lambda: head(features), [features, *head.parameters()])
    assert kept < 4 * 9216 * snippets**2 / 10
