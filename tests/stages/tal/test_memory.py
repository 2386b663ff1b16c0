"""Memory of end-to-end localisation: predicted, against what a step on the CPU really allocates."""

from __future__ import annotations

from functools import cache

import pytest
import torch
from torch.utils._pytree import tree_leaves

from engine.errors import UserError
from stages.nn.activations import kept_bytes, peak_bytes
from stages.nn.chunked import chunked
from stages.nn.encoders import build_encoder
from stages.nn.frozen_norm import freeze_norms
from stages.nn.spec import Narrow, TsmResnet
from stages.tal.gtad import Gtad
from stages.tal.head_spec import Head
from stages.tal.memory import USABLE, Load, fidelities, propose, step_memory

NARROW = Narrow(kind="narrow", width=4)
TSM = TsmResnet(kind="tsm_resnet18")
HEAD = Head(channels=64, align_bins=4, context_bins=2)


def test_the_papers_configurations():
    assert fidelities(1) == {"full": (1, 1)}
    assert {name: (round(r_s, 3), r_t) for name, (r_s, r_t) in fidelities(4).items()} == {
        "S": (2, 1), "T": (1, 4), "ST": (1.414, 2)
    }  # fmt: skip
    loads = [Load(videos=1).reduced(*by) for by in fidelities(4).values()]
    assert [(load.snippets, load.side) for load in loads] == [(100, 112), (25, 224), (50, 158)]
    assert Load(videos=4).clips == 400
    assert Load(videos=1).clip_bytes == 4 * 100 * 3 * 8 * 224 * 224
    assert Load(videos=1, snippets=3, side=16).reduced(1, 16).snippets == 1


def test_each_configuration_keeps_a_quarter_at_the_papers_sizes():
    full = Load(videos=4)
    whole = step_memory(TSM, full, head=HEAD)
    assert whole.encoder_kept / 2**30 == pytest.approx(4 * 18.7, rel=0.01)  # from layer arithmetic
    for by in fidelities(4).values():
        reduced = step_memory(TSM, full.reduced(*by), head=HEAD)
        assert reduced.encoder_kept / whole.encoder_kept == pytest.approx(0.25, abs=0.03)


@pytest.mark.parametrize("spec", [NARROW, TSM], ids=lambda spec: spec.kind)
def test_each_configuration_keeps_a_quarter_measured(spec):
    encoder = build_encoder(spec, 3, seed=0)
    freeze_norms(encoder)

    def kept(load: Load) -> int:
        clips = torch.rand(load.clips, 3, load.frames, load.side, load.side)
        return kept_bytes(lambda: encoder(clips), [*encoder.parameters(), *encoder.buffers()])

    full = Load(videos=1, snippets=4, frames=1, side=128)
    whole = kept(full)
    for by in fidelities(4).values():
        assert kept(full.reduced(*by)) / whole == pytest.approx(0.25, abs=0.03)


def measured_peak(spec, load: Load, chunk: int | None, head_spec: Head) -> int:
    """Bytes of a real step beyond weights and clips."""
    encoder = build_encoder(spec, 3, seed=0)
    head = Gtad(encoder.features, head_spec)
    head(torch.rand(1, encoder.features, load.snippets))  # tables that it makes once
    freeze_norms(encoder)
    for weight in [*encoder.parameters(), *head.parameters()]:
        weight.grad = torch.zeros_like(weight)
    clips = torch.rand(load.clips, 3, load.frames, load.side, load.side)

    def step() -> None:
        features = chunked(encoder, clips, chunk).unflatten(0, (load.videos, load.snippets)).transpose(1, 2)
        results = tree_leaves(head(features))
        sum(result.square().sum() for result in results).backward()

    return peak_bytes(step)


@pytest.mark.parametrize(
    "spec, load, chunk",
    [
        (NARROW, Load(2, 6, 2, 96), None),
        (NARROW, Load(2, 6, 2, 96), 1),
        (NARROW, Load(2, 6, 2, 96), 3),
        (NARROW, Load(1, 60, 2, 16), None),
        (NARROW, Load(1, 60, 2, 16), 3),
        (TSM, Load(1, 4, 2, 48), None),
        (TSM, Load(1, 4, 2, 48), 2),
    ],
    ids=lambda value: getattr(value, "kind", None) or str(value),
)
def test_the_whole_step_as_it_runs(spec, load, chunk):
    """With 60 snippets of 16 pixels the head is what takes the memory."""
    predicted = step_memory(spec, load, chunk, HEAD)
    assert predicted.peak - predicted.weights - predicted.clips == pytest.approx(
        measured_peak(spec, load, chunk, HEAD), rel=0.05
    )


def test_gtads_head_as_it_runs():
    load, spec = Load(2, 30, 1, 16), Head(channels=64)
    predicted = step_memory(NARROW, load, 1, spec)
    assert predicted.head > predicted.encoder
    measured = measured_peak(NARROW, load, 1, spec)
    assert predicted.features + predicted.head == pytest.approx(measured, rel=0.05)


def test_weights_by_hand():
    optimisers = [step_memory(NARROW, Load(1, 2, 1, 16), head=HEAD, optimiser_numbers=n).weights for n in (0, 2)]
    count = sum(p.numel() for m in (build_encoder(NARROW, 3, seed=0), Gtad(32, HEAD)) for p in m.parameters())
    assert optimisers == [8 * count, 16 * count]


def test_what_bf16_and_chunks_save():
    load = Load(2, 8, 4, 32)
    plain = step_memory(NARROW, load, head=HEAD)
    half = step_memory(NARROW, load, head=HEAD, bf16=True)
    copy_of_clips = load.clip_bytes / 2  # which the first convolution keeps
    assert (half.encoder_kept - copy_of_clips) / plain.encoder_kept == pytest.approx(0.5, abs=0.03)
    few = step_memory(NARROW, load, 2, HEAD)
    assert few.encoder_kept == 0
    assert few.encoder / plain.encoder < 0.2
    assert few.head == plain.head


def test_fewer_snippets_spare_the_head_and_fewer_pixels_do_not():
    full = Load(1, 100, 1, 16)
    head = {name: step_memory(NARROW, full.reduced(*by), head=HEAD).head for name, by in fidelities(4).items()}
    assert head["S"] == step_memory(NARROW, full, head=HEAD).head
    assert 1 / 16 < head["T"] / head["S"] < 1.2 / 16  # maps shrink with the square of snippets, curves with snippets


FULL = Load(videos=2, snippets=16, frames=2, side=64)


@cache
def proposals(budget_share: float, may_chunk: bool = True, factors: tuple[float, ...] = (1, 4)):
    """Within a share of what full fidelity takes at once."""
    whole = step_memory(NARROW, FULL, head=HEAD).peak
    return propose(NARROW, FULL, budget_share * whole / USABLE / 1e9, HEAD, may_chunk=may_chunk, factors=factors)


def test_with_room_for_all_nothing_is_chunked():
    assert [(p.factor, p.chunk) for p in proposals(1.001)] == [(1, None), (4, None)]
    assert [p.work for p in proposals(1.001)] == [1, 1 / 4]


def test_where_the_whole_does_not_fit_the_largest_chunk_does():
    full, quarter = proposals(0.5)
    room = 0.5 * step_memory(NARROW, FULL, head=HEAD).peak
    assert (full.factor, quarter.factor, quarter.chunk) == (1, 4, None)
    assert full.work == pytest.approx(4 / 3)
    assert full.memory["full"].peak <= room < step_memory(NARROW, FULL, 2 * full.chunk, HEAD).peak
    assert quarter.memory.keys() == {"S", "T", "ST"}
    assert all(memory.peak <= room for memory in quarter.memory.values())
    assert full.lines()[0].startswith(f"full (r_s 1, r_t 1), {full.chunk} snippets at a time: ")


def test_while_norms_move_only_less_input_helps():
    assert [(p.factor, p.chunk) for p in proposals(0.5, may_chunk=False)] == [(4, None)]


def test_a_budget_that_nothing_fits():
    with pytest.raises(UserError, match=r"2 videos of 16 snippets need .* GB at the lowest fidelity.*smaller encoder"):
        proposals(0.001, factors=(1,))
    with pytest.raises(UserError, match="freeze BatchNorm"):
        proposals(0.01, may_chunk=False, factors=(1,))
