"""The head's loss: by hand, where a side is empty, in parts, and which cells are drawn."""

from __future__ import annotations

from math import log

import numpy as np
import pytest
import torch

from stages.tal.gtad import HeadOutput, build_gtad
from stages.tal.head_spec import Head, HeadLoss
from stages.tal.label_maps import label_maps, valid_mask
from stages.tal.loss import balanced, gtad_loss, regression_weights, targets

SPEC = HeadLoss()


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def labels(*videos: list[list[float]], snippets: int) -> list[torch.Tensor]:
    """Start [B, L], end [B, L] and iou [B, L, L] of videos with these segments."""
    maps = [label_maps(np.array(segments).reshape(-1, 2), snippets) for segments in videos]
    return [torch.from_numpy(np.stack(parts)) for parts in zip(*maps)]


def test_balanced_log_loss_by_hand():
    # One positive of 0.8; negatives of 0.5 and 0.1; a position that does not count.
    positive = torch.tensor([True, False, False, False])
    weights = balanced(positive, torch.tensor([True, True, True, False]))
    assert weights.positive.tolist() == [0.5, 0, 0, 0]
    assert weights.negative.tolist() == [0, 0.25, 0.25, 0]
    loss = weights.loss(torch.tensor([0.8, 0.5, 0.1, 0.99])).item()
    assert loss == pytest.approx(-(0.5 * log(0.8) + 0.25 * log(0.5) + 0.25 * log(0.9)), abs=1e-5)


def test_whole_loss_by_hand():
    # Two snippets, the segment is the first: start label (1, 0.5), end label (1, 1), IoU 1 at (0, 0),
    # 1/2 at (1, 0), 0 at (0, 1).
    start, end, iou = labels([[0, 0.5]], snippets=2)
    assert start.tolist() == [[1, 0.5]] and end.tolist() == [[1, 1]]
    assert iou.tolist() == [[[1, 0], [0.5, 0]]]
    output = HeadOutput(
        start=torch.tensor([[0.6, 0.3]]),
        end=torch.tensor([[0.7, 0.2]]),
        confidence=torch.tensor([[[[0.9, 0.4], [0.1, 0.0]], [[0.8, 0.3], [0.4, 0.0]]]]),
    )
    losses = gtad_loss(output, targets(start, end, iou, SPEC, seeded()), SPEC)
    # The second start label is not above 0.5; both end labels are, so half their mean counts alone. One positive cell
    # and two others. One high and one middle cell: both are taken.
    node = -0.5 * (log(0.6) + log(0.7)) - 0.25 * (log(0.7) + log(0.2))
    classification = -0.5 * log(0.8) - 0.25 * (log(0.7) + log(0.6))
    regression = 0.5 * (0.1**2 + 0.4**2) / 2
    assert losses.node.item() == pytest.approx(node, abs=1e-4)
    assert losses.classification.item() == pytest.approx(classification, abs=1e-4)
    assert losses.regression.item() == pytest.approx(regression, abs=1e-6)
    assert losses.total.item() == pytest.approx(node + classification + 10 * regression, abs=1e-4)


@pytest.mark.parametrize(
    ("snippets", "segments"),
    [
        (25, []),
        (25, [[0.41, 0.43]]),  # shorter than a snippet: no cell reaches an IoU above 0.9, nor 0.7
        (25, [[0.413, 0.587]]),
        (25, [[0, 1]]),
        (1, [[0, 1]]),  # no negatives
        (1, []),
        (3, [[0, 0.1]]),
    ],
)
def test_one_video_is_enough(snippets, segments):
    start, end, iou = labels(segments, snippets=snippets)
    head = build_gtad(8, Head(channels=64, align_bins=4, context_bins=2), seed=0)
    losses = gtad_loss(head(torch.randn(1, 8, snippets)), targets(start, end, iou, SPEC, seeded()), SPEC)
    losses.total.backward()
    assert all(torch.isfinite(part) for part in losses)
    assert all(torch.isfinite(weight.grad).all() for weight in head.parameters())


def test_without_positives_negatives_still_count():
    start, end, iou = labels([[0.41, 0.43]], snippets=25)
    wanted = targets(start, end, iou, SPEC, seeded())
    assert wanted.classification.positive.sum() == 0
    assert wanted.classification.negative.sum().item() == pytest.approx(0.5, abs=1e-6)
    assert wanted.regression.sum() == 0


def test_saturated_probabilities_give_a_finite_loss():
    start, end, iou = labels([[0.2, 0.6]], snippets=5)
    wrong = HeadOutput(start=1 - (start > 0.5).float(), end=1 - (end > 0.5).float(), confidence=torch.zeros(1, 2, 5, 5))
    losses = gtad_loss(wrong, targets(start, end, iou, SPEC, seeded()), SPEC)
    # One positive cell at 0, and start and end wrong everywhere: -log(1e-6) each, up to rounding of 1 + 1e-6 in fp32.
    assert losses.classification.item() == pytest.approx(-0.5 * log(1e-6), abs=1e-3)
    assert losses.node.item() == pytest.approx(-2 * log(1e-6), abs=0.2)


def test_invalid_cells_never_count():
    start, end, iou = labels([[0.1, 0.8]], [[0.5, 1]], snippets=10)
    wanted = targets(start, end, iou, SPEC, seeded())
    invalid = ~torch.from_numpy(valid_mask(10)).expand_as(iou)
    for weights in (*wanted.classification, wanted.regression):
        assert (weights[invalid] == 0).all()


def test_cells_of_regression():
    _, _, iou = labels([[0.13, 0.61]], snippets=40)
    valid = torch.from_numpy(valid_mask(40)).expand_as(iou)
    high = (iou > 0.7).sum().item()
    middle, low = ((iou > 0.3) & (iou <= 0.7)).sum().item(), ((iou > 0) & (iou <= 0.3)).sum().item()
    assert 0 < high < min(middle, low)
    counts = []
    for seed in range(200):
        weights = regression_weights(iou, valid, SPEC, seeded(seed))
        chosen = weights > 0
        assert weights.sum().item() == pytest.approx(0.5, abs=1e-5)
        assert chosen[iou > 0.7].all() and not chosen[iou == 0].any()
        counts.append([chosen[(iou > 0.3) & (iou <= 0.7)].sum().item(), chosen[(iou > 0) & (iou <= 0.3)].sum().item()])
    # Binomial: the mean of 200 draws is off by more than 4 standard errors about once in 10,000 times; the seeds are
    # fixed.
    error = 4 * (high / 200) ** 0.5
    assert np.mean(counts, axis=0) == pytest.approx([high, high], abs=error)


def test_a_band_with_fewer_cells_than_high_ones_is_taken_whole():
    iou = torch.tensor([[[0.8, 0.75, 0.2], [0.9, 0.5, 0], [0.95, 0, 0]]])
    weights = regression_weights(iou, torch.from_numpy(valid_mask(3))[None], SPEC, seeded())
    assert weights[0].tolist() == pytest.approx(np.array([[1, 1, 1], [1, 1, 0], [1, 0, 0]]) / 12)


def test_the_draw_is_the_generators():
    _, _, iou = labels([[0.13, 0.61]], snippets=40)
    valid = torch.from_numpy(valid_mask(40)).expand_as(iou)
    draws = [regression_weights(iou, valid, SPEC, seeded(seed)) for seed in (0, 0, 1)]
    assert torch.equal(draws[0], draws[1]) and not torch.equal(draws[0], draws[2])


def test_parts_of_a_batch_add_up_to_the_whole():
    start, end, iou = labels([[0.1, 0.35]], [], [[0, 1], [0.2, 0.9]], snippets=12)
    wanted = targets(start, end, iou, SPEC, seeded())
    head = build_gtad(8, Head(channels=64, align_bins=4, context_bins=2), seed=0)
    features = torch.randn(3, 8, 12, generator=seeded())
    whole = gtad_loss(head(features), wanted, SPEC).total
    whole.backward()
    expected = [weight.grad.clone() for weight in head.parameters()]
    head.zero_grad()
    parts = []
    for first, last in ((0, 2), (2, 3)):
        loss = gtad_loss(head(features[first:last]), wanted.of_videos(first, last), SPEC).total
        loss.backward()
        parts.append(loss.item())
    assert sum(parts) == pytest.approx(whole.item(), rel=1e-5)
    for weight, gradient in zip(head.parameters(), expected):
        torch.testing.assert_close(weight.grad, gradient, rtol=1e-3, atol=1e-6)


def test_targets_move_as_a_whole():
    wanted = targets(*labels([[0.1, 0.35]], snippets=12), SPEC, seeded()).to(torch.device("meta"))
    parts = [*wanted.start, *wanted.end, *wanted.classification, wanted.iou, wanted.regression]
    assert all(part.is_meta for part in parts)


def test_a_head_learns_a_video():
    start, end, iou = labels([[0.25, 0.625]], snippets=8)
    wanted = targets(start, end, iou, SPEC, seeded())
    head = build_gtad(8, Head(channels=64, align_bins=4, context_bins=2), seed=0)
    features = torch.randn(1, 8, 8, generator=seeded())
    optimiser = torch.optim.Adam(head.parameters(), 3e-3)
    for _ in range(40):
        output = head(features)
        losses = gtad_loss(output, wanted, SPEC)
        optimiser.zero_grad()
        losses.total.backward()
        optimiser.step()
    best = (output.confidence[0, 0] * output.confidence[0, 1]).argmax().item()
    assert divmod(best, 8) == (2, 2)
