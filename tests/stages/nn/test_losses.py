"""Contrastive losses against numbers worked by hand and loops over index sets."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, strategies as st

from stages.nn.losses import contrastive_logits, contrastive_loss, label_positives, own_positive


def by_loops(logits, positives, valid, sum) -> float:
    """The definition, with Python's floats and index sets."""
    losses = []
    for row, wanted, there in zip(logits.double().tolist(), positives.tolist(), valid.tolist()):
        everything = {a for a in range(len(row)) if there[a]}
        chosen = {p for p in everything if wanted[p]}
        total = math.fsum(math.exp(row[a]) for a in everything)
        if sum == "inside":
            losses.append(-math.log(math.fsum(math.exp(row[p]) for p in chosen) / total))
        else:
            losses.append(-math.fsum(math.log(math.exp(row[p]) / total) for p in chosen) / len(chosen))
    return math.fsum(losses) / len(losses)


@given(st.integers(0, 10_000), st.integers(1, 5), st.integers(1, 9), st.sampled_from(["inside", "outside"]))
def test_equal_to_the_definition(seed, rows, queue, sum):
    rng = torch.Generator().manual_seed(seed)
    logits = 5 * torch.randn(rows, 1 + queue, generator=rng)
    positives = torch.rand(rows, 1 + queue, generator=rng) < 0.3
    valid = torch.rand(rows, 1 + queue, generator=rng) < 0.7
    own = torch.randint(1 + queue, (rows,), generator=rng)
    positives[range(rows), own] = valid[range(rows), own] = True
    loss = contrastive_loss(logits, positives, valid, sum)
    assert loss.item() == pytest.approx(by_loops(logits, positives, valid, sum), rel=1e-5, abs=1e-6)


def test_numbers_by_hand():
    # exp of the logits: 1, 2, 4, 1; the last does not exist
    logits = torch.log(torch.tensor([[1.0, 2.0, 4.0, 1.0]]))
    valid = torch.tensor([True, True, True, False])
    positives = torch.tensor([[True, True, False, True]])
    inside = contrastive_loss(logits, positives, valid, "inside").item()
    outside = contrastive_loss(logits, positives, valid, "outside").item()
    assert inside == pytest.approx(-math.log(3 / 7))
    assert outside == pytest.approx(-(math.log(1 / 7) + math.log(2 / 7)) / 2)


def test_one_positive_is_cross_entropy_either_way():
    logits = torch.randn(6, 9, generator=torch.Generator().manual_seed(0))
    expected = torch.nn.functional.cross_entropy(logits, torch.zeros(6, dtype=torch.int64))
    for sum in ("inside", "outside"):
        torch.testing.assert_close(contrastive_loss(logits, own_positive(logits), None, sum), expected)


@pytest.mark.parametrize("sum", ["inside", "outside"])
def test_the_gradient_is_softmax_minus_the_positives_share(sum):
    logits = torch.randn(3, 7, generator=torch.Generator().manual_seed(1), dtype=torch.float32).requires_grad_()
    positives = torch.tensor([[1, 0, 0, 1, 0, 0, 0], [1, 0, 0, 0, 0, 0, 0], [0, 1, 1, 1, 0, 0, 0]], dtype=torch.bool)
    valid = torch.tensor([1, 1, 1, 1, 1, 0, 0], dtype=torch.bool)
    contrastive_loss(logits, positives, valid, sum).backward()
    softmax = torch.softmax(logits.detach().masked_fill(~valid, -torch.inf), 1)
    if sum == "inside":
        share = torch.softmax(logits.detach().masked_fill(~positives, -torch.inf), 1)
    else:
        share = positives / positives.sum(1, keepdim=True)
    torch.testing.assert_close(logits.grad, (softmax - share) / 3)
    assert (logits.grad[:, 5:] == 0).all()  # what does not exist is neither drawn nor pushed


@pytest.mark.parametrize("sum", ["inside", "outside"])
@pytest.mark.parametrize("scale", [1e4, -1e4])
def test_extreme_logits_stay_finite(sum, scale):
    logits = torch.tensor([[scale, -scale, 0.0, 0.0]], requires_grad=True)
    loss = contrastive_loss(logits, own_positive(logits), torch.tensor([True, True, True, False]), sum)
    loss.backward()
    assert loss.isfinite() and logits.grad.isfinite().all()
    assert loss.item() == pytest.approx(0 if scale > 0 else 2e4)


def test_temperature_of_the_paper_at_the_worst_ratio():
    # cosines -1 and 1 at 0.07: the ratio is e^-28.6, which half precision would make 0 and its logarithm infinite
    logits = torch.tensor([[-1.0, 1.0]], dtype=torch.bfloat16) / 0.07
    assert contrastive_loss(logits, own_positive(logits)).item() == pytest.approx(2 / 0.07, rel=0.01)


def test_logits_are_cosines_over_temperature_own_key_first():
    queries = torch.tensor([[1.0, 0.0], [0.0, 1.0]])
    keys = torch.tensor([[0.6, 0.8], [0.8, 0.6]])
    queue = torch.tensor([[1.0, 0.0], [0.0, -1.0], [0.6, 0.8]])
    expected = torch.tensor([[0.6, 1.0, 0.0, 0.6], [0.6, 0.0, -1.0, 0.8]]) / 0.5
    torch.testing.assert_close(contrastive_logits(queries, keys, queue, 0.5), expected)


def test_keys_of_the_class_are_positives_and_empty_slots_are_not():
    positives = label_positives(torch.tensor([2, 0]), torch.tensor([0, 2, -1, 2]))
    assert positives.tolist() == [[True, False, True, False, True], [True, True, False, False, False]]
