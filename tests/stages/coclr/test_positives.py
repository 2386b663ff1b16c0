"""Mining, positives and loss against loops over index sets."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings, strategies as st
from torch.nn import functional as F

from stages.coclr.mining import mine
from stages.coclr.positives import draw_dropped, positive_columns
from stages.coclr.spec import Drop, Keep
from stages.nn.losses import contrastive_logits, contrastive_loss
from stages.nn.queue import DualQueue

RULES = {"keep": Keep(kind="keep"), "negative": Drop(), "ignored": Drop(becomes="ignored")}
TEMPERATURE = 0.5


def unit(rng: torch.Generator, *shape: int) -> torch.Tensor:
    return F.normalize(torch.randn(*shape, generator=rng), dim=-1)


def case(seed: int, size: int, filled: int, rows: int = 4, sources: int = 5):
    """Queries with all that belongs to them, and a queue that was filled with ``filled`` entries."""
    rng = torch.Generator().manual_seed(seed)
    queue = DualQueue(size, 6, 3)
    if filled:
        others = torch.randint(sources, (2, filled), generator=rng)
        queue.put(unit(rng, filled, 6), unit(rng, filled, 3), *others, torch.arange(filled))
    queries, keys, hints = unit(rng, rows, 6), unit(rng, rows, 6), unit(rng, rows, 3)
    own_sources, dropped = torch.randint(sources, (rows,), generator=rng), torch.rand(rows, generator=rng) < 0.5
    return queue, queries, keys, hints, own_sources, dropped


def masks(queue, hints, sources, dropped, topk, same_source, rule):
    siblings = sources[:, None] == queue.sources
    mined = mine(hints, queue.others, queue.filled & ~siblings, topk)
    return positive_columns(mined.mask(queue.size), siblings, queue.filled, dropped, same_source, rule)


def by_loops(queue, queries, keys, hints, sources, dropped, topk, same_source, rule) -> float:
    """CoCLR's loss as the sets define it, in Python's floats."""
    dot = lambda a, b: math.fsum(x * y for x, y in zip(a.double().tolist(), b.double().tolist()))  # noqa: E731
    losses = []
    for i in range(len(queries)):
        there = range(queue.count)
        exp = {0: math.exp(dot(queries[i], keys[i]) / TEMPERATURE)}
        exp |= {1 + j: math.exp(dot(queries[i], queue.keys[j]) / TEMPERATURE) for j in there}
        same = {1 + j for j in there if queue.sources[j] == sources[i]}
        others = sorted(({1 + j for j in there} - same), key=lambda j: -dot(hints[i], queue.others[j - 1]))
        positives = set(others[:topk])
        everything = set(exp)
        if same_source == "positive":
            positives |= same
        if same_source == "ignore":
            everything -= same
        if rule.kind == "drop" and dropped[i] and positives:
            if rule.becomes == "ignored":
                everything -= {0}
        else:
            positives |= {0}
        losses.append(-math.log(math.fsum(exp[p] for p in positives) / math.fsum(exp[a] for a in everything)))
    return math.fsum(losses) / len(losses)


@settings(deadline=None)
@given(
    st.integers(0, 10_000),
    st.integers(1, 9),
    st.integers(0, 14),
    st.integers(0, 12),
    st.sampled_from(["positive", "negative", "ignore"]),
    st.sampled_from(list(RULES)),
)
def test_the_loss_is_that_of_the_sets(seed, size, filled, topk, same_source, rule):
    rule = RULES[rule]
    queue, queries, keys, hints, sources, dropped = case(seed, size, filled)
    dropped &= rule.kind == "drop"
    positives, valid = masks(queue, hints, sources, dropped, topk, same_source, rule)
    loss = contrastive_loss(contrastive_logits(queries, keys, queue.keys, TEMPERATURE), positives, valid)
    expected = by_loops(queue, queries, keys, hints, sources, dropped, topk, same_source, rule)
    assert loss.item() == pytest.approx(expected, rel=1e-4, abs=1e-5)


def test_nearest_candidates_are_mined_and_empty_slots_and_siblings_never():
    stored = torch.tensor([[1.0, 0.0], [0.8, 0.6], [0.0, 1.0], [0.6, 0.8], [1.0, 0.0]])
    candidates = torch.tensor([[False, True, True, True, False], [True, False, False, False, False]])
    mined = mine(torch.tensor([[1.0, 0.0], [0.0, 1.0]]), stored, candidates, 2)
    assert mined.slots[0].tolist() == [1, 3] and mined.found[0].tolist() == [True, True]
    assert mined.slots[1, 0] == 0 and mined.found[1].tolist() == [True, False]
    assert mined.similarity[0].tolist() == pytest.approx([0.8, 0.6]) and mined.similarity[1, 0] == 0
    assert mined.mask(5).tolist() == [[False, True, False, True, False], [True, False, False, False, False]]


@pytest.mark.parametrize("topk, expected", [(0, 0), (3, 3), (9, 5)])
def test_no_more_is_mined_than_there_is(topk, expected):
    mined = mine(torch.eye(2), torch.ones(5, 2), torch.ones(2, 5, dtype=torch.bool), topk)
    assert mined.mask(5).sum(1).tolist() == [expected] * 2


def sets(mask: torch.Tensor) -> list[set[int]]:
    return [set(row.nonzero().flatten().tolist()) for row in mask]


@pytest.mark.parametrize(
    "same_source, rule, positives, valid",
    [
        ("positive", "keep", [{0, 1, 2}, {0, 3}, {0}], [{0, 1, 2, 3}] * 3),
        ("positive", "negative", [{1, 2}, {3}, {0}], [{0, 1, 2, 3}] * 3),
        ("positive", "ignored", [{1, 2}, {3}, {0}], [{1, 2, 3}, {1, 2, 3}, {0, 1, 2, 3}]),
        ("negative", "negative", [{1}, {0}, {0}], [{0, 1, 2, 3}] * 3),
        ("ignore", "negative", [{1}, {0}, {0}], [{0, 1, 3}, {0, 1, 2}, {0, 1, 2, 3}]),
    ],
)
def test_sets_by_hand(same_source, rule, positives, valid):
    # The first query mined slot 0 and has a sibling in slot 1, the second has one in slot 2, the third has nothing.
    mined = torch.tensor([[1, 0, 0, 0], [0, 0, 0, 0], [0, 0, 0, 0]], dtype=torch.bool)
    siblings = torch.tensor([[0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 0]], dtype=torch.bool)
    filled = torch.tensor([True, True, True, False])
    dropped = torch.full((3,), RULES[rule].kind == "drop")
    found = positive_columns(mined, siblings, filled, dropped, same_source, RULES[rule])
    assert (sets(found[0]), sets(found[1])) == (positives, valid)


def gradient(dropped: bool, rule: str, mined: bool = True) -> tuple[torch.Tensor, torch.Tensor]:
    """Gradient of the logits of one query with a mined key in slot 1, and their softmax."""
    logits = torch.tensor([[2.0, -1.0, 0.5, 1.0]], requires_grad=True)
    found = torch.tensor([[False, mined, False]])
    nothing, filled = torch.zeros(1, 3, dtype=torch.bool), torch.ones(3, dtype=torch.bool)
    masks = positive_columns(found, nothing, filled, torch.tensor([dropped]), "positive", RULES[rule])
    contrastive_loss(logits, *masks).backward()
    return logits.grad[0], torch.softmax(logits.detach()[0], 0)


def test_a_dropped_own_key_is_pushed_away_like_a_negative():
    grad, softmax = gradient(dropped=True, rule="negative")
    torch.testing.assert_close(grad, softmax - torch.tensor([0.0, 0.0, 1.0, 0.0]))
    assert grad[0] == pytest.approx(softmax[0].item())


def test_a_kept_own_key_is_drawn_nearer():
    grad, softmax = gradient(dropped=False, rule="negative")
    share = softmax[0] / (softmax[0] + softmax[2])
    assert grad[0].item() == pytest.approx((softmax[0] - share).item()) and grad[0] < 0


def test_an_ignored_own_key_is_neither_drawn_nor_pushed():
    grad, _ = gradient(dropped=True, rule="ignored")
    assert grad[0] == 0 and grad[2] < 0


def test_without_another_positive_the_own_key_stays():
    grad, softmax = gradient(dropped=True, rule="negative", mined=False)
    torch.testing.assert_close(grad, softmax - torch.tensor([1.0, 0.0, 0.0, 0.0]))


@settings(deadline=None)
@given(st.integers(0, 10_000), st.integers(0, 8), st.integers(0, 4), st.sampled_from(list(RULES)))
def test_loss_and_gradient_are_finite_whatever_the_queue_holds(seed, filled, topk, rule):
    queue, queries, keys, hints, sources, dropped = case(seed, 8, filled, sources=2)
    logits = contrastive_logits(queries, keys, queue.keys, 0.01).requires_grad_()
    loss = contrastive_loss(logits, *masks(queue, hints, sources, dropped, topk, "positive", RULES[rule]))
    loss.backward()
    assert loss.isfinite() and logits.grad.isfinite().all()


def test_embeddings_in_bf16_give_a_loss_in_fp32():
    queue, queries, keys, hints, sources, dropped = case(3, 64, 64, rows=16)
    found = masks(queue, hints, sources, dropped, 5, "positive", RULES["negative"])
    exact = contrastive_loss(contrastive_logits(queries, keys, queue.keys, 0.07), *found)
    rough = contrastive_loss(contrastive_logits(queries.bfloat16(), keys.bfloat16(), queue.keys, 0.07), *found)
    assert rough.dtype == torch.float32
    assert rough.item() == pytest.approx(exact.item(), rel=0.02)


def test_mining_in_bf16_compares_in_fp32():
    hints = torch.tensor([[1.0, 2.0**-7]], dtype=torch.bfloat16)
    stored = torch.tensor([[1.0, 0.0], [1.0, 0.5]])  # 1 and 1 + 2^-8, which bf16 products would make equal
    assert mine(hints, stored, torch.ones(1, 2, dtype=torch.bool), 1).slots.item() == 1


def draws(rule, steps: int = 400, rows: int = 8) -> torch.Tensor:
    return torch.stack([draw_dropped(rule, np.random.default_rng(step), rows) for step in range(steps)])


def test_one_draw_holds_for_the_batch_or_each_sample_has_its_own():
    together, alone = draws(Drop()), draws(Drop(per="sample"))
    assert set(together.sum(1).tolist()) == {0, 8}
    assert len(set(alone.sum(1).tolist())) > 3
    for drawn in (together, alone):
        assert 0.84 < drawn.float().mean() < 0.96
    assert not draws(Keep(kind="keep")).any() and not draws(Drop(probability=0.0)).any()
    assert draws(Drop(probability=1.0)).all()
