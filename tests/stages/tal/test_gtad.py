"""The whole head: size, shapes, any length and batch, and what it refuses."""

from __future__ import annotations

import pytest
import torch
from pydantic import ValidationError

from engine.errors import UserError
from stages.tal.gtad import Gtad, build_gtad
from stages.tal.head_spec import Head
from stages.tal.label_maps import valid_mask

SMALL = Head(channels=64, align_bins=4, context_bins=2)


@pytest.mark.parametrize(("features", "millions"), [(400, 5.56), (512, 5.58), (2048, 5.88)])
def test_parameters(features, millions):
    with torch.device("meta"):
        head = Gtad(features)
    assert round(sum(weight.numel() for weight in head.parameters()) / 1e6, 2) == millions


def test_one_head_takes_any_length_and_batch():
    head = build_gtad(12, SMALL, seed=0)
    for batch, snippets in [(2, 25), (1, 7), (3, 2), (1, 1)]:
        output = head(torch.randn(batch, 12, snippets))
        assert output.start.shape == output.end.shape == (batch, snippets)
        assert output.confidence.shape == (batch, 2, snippets, snippets)
        valid = torch.from_numpy(valid_mask(snippets)).expand_as(output.confidence)
        assert (output.confidence[valid] > 0).all() and (output.confidence[valid] < 1).all()
        assert (output.confidence[~valid] == 0).all()


def test_maps_are_indexed_by_duration_and_start():
    head = build_gtad(12, SMALL, seed=0).eval()
    features = torch.randn(1, 12, 16, generator=torch.Generator().manual_seed(0))
    changed = features.clone()
    changed[..., -1] += 1
    before, after = head(features).confidence[0, 0], head(changed).confidence[0, 0]
    # Only near the change can a short proposal differ through convolutions; far from it some differ through the
    # graph, but the proposal of the last snippet, (0, 15), must.
    assert before[0, 15] != after[0, 15]
    assert before[15, 1] == after[15, 1] == 0


def test_every_weight_learns():
    head = build_gtad(12, SMALL, seed=0)
    output = head(torch.randn(2, 12, 10))
    (output.start.sum() + output.end.sum() + output.confidence.sum()).backward()
    for name, weight in head.named_parameters():
        assert weight.grad is not None and weight.grad.abs().sum() > 0, name


def test_same_seed_same_head_and_the_global_generator_stays():
    state = torch.get_rng_state()
    one, other, third = build_gtad(8, SMALL, 3), build_gtad(8, SMALL, 3), build_gtad(8, SMALL, 4)
    assert torch.equal(torch.get_rng_state(), state)
    assert all(torch.equal(a, b) for a, b in zip(one.parameters(), other.parameters()))
    assert not torch.equal(one.align.weight, third.align.weight)


def test_gradients_repeat_bit_by_bit():
    head = build_gtad(8, SMALL, 0)
    features = torch.randn(2, 8, 20)
    gradients = []
    for _ in range(2):
        head.zero_grad()
        head(features).confidence.square().sum().backward()
        gradients.append([weight.grad.clone() for weight in head.parameters() if weight.grad is not None])
    assert all(torch.equal(a, b) for a, b in zip(*gradients))


def test_features_of_a_width_that_groups_cannot_part_are_refused():
    with pytest.raises(UserError, match="width 30"):
        Gtad(30, SMALL)


@pytest.mark.parametrize(
    "wrong", [{"channels": 96}, {"channels": 0}, {"neighbours": 0}, {"align_bins": 0}, {"sigma": 1}]
)
def test_what_is_no_head_is_refused(wrong):
    with pytest.raises(ValidationError):
        Head(**wrong)
