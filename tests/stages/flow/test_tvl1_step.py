"""One iteration: both forms do the same, and it goes on without a compiler."""

from __future__ import annotations

import pytest
import torch

from stages.flow import tvl1_step
from stages.flow.tvl1_step import InPlaceStep, Linear, State, Weights, choose_step, linearised, pure_step

WEIGHTS = Weights(reach=4.5, pull=0.25 / 0.3)


def problem(count: int = 3, height: int = 9, width: int = 7, seed: int = 0) -> tuple[State, Linear]:
    torch.manual_seed(seed)
    planes = torch.randn(6, 2, count, height, width)
    return State(*planes[:4].clone()), Linear(planes[4] * 0.1, planes[5, 0] * 0.1, planes[5, 1].square() * 40)


def test_in_place_and_pure_forms_agree_over_iterations_and_changes_of_size():
    in_place = InPlaceStep()
    for size in [(3, 9, 7), (2, 9, 7), (2, 12, 5)]:
        state, linear = problem(*size)
        ours, theirs = State(*(part.clone() for part in state)), state
        for _ in range(4):
            ours, theirs = in_place(ours, linear, WEIGHTS), pure_step(theirs, linear, WEIGHTS)
        for one, two in zip(ours, theirs):
            assert torch.allclose(one, two, atol=1e-5)


def test_a_step_worked_by_hand():
    """One pixel, no neighbours, no duals: only the data step moves it, at most ``reach`` slopes far."""
    zeros = torch.zeros(2, 1, 1, 1)
    gradient = torch.tensor([0.3, 0.4]).view(2, 1, 1, 1)
    for error, step in [(0.05, -0.2), (9.0, -4.5), (-9.0, 4.5)]:  # -0.05 / 0.25 of the slope; then cut
        linear = Linear(gradient, torch.full((1, 1, 1), error), torch.full((1, 1, 1), 1 / 0.25))
        moved = pure_step(State(zeros, zeros, zeros, zeros), linear, WEIGHTS).flow
        assert torch.allclose(moved, gradient * step)


def test_the_linear_error_is_exact_at_the_flow_itself():
    torch.manual_seed(1)
    first, second, flow = torch.rand(2, 8, 9), torch.rand(2, 8, 9), torch.randn(2, 2, 8, 9)
    linear = linearised(first, second, flow)
    error = linear.rest + (linear.gradient * flow).sum(0)
    assert torch.allclose(error, tvl1_step.warped(second, flow) - first, atol=1e-5)


def test_slopes_too_small_to_divide_by_are_none():
    frames = torch.zeros(1, 4, 4)
    frames[0, 1, 1] = 1e-22  # its square is a denormal number
    linear = linearised(frames, frames, torch.zeros(2, 1, 4, 4))
    assert (linear.inverse == 1).all()


def test_the_pure_form_is_one_graph_for_a_compiler():
    step = torch.compile(pure_step, fullgraph=True, backend="eager", dynamic=True)
    state, linear = problem()
    assert torch.equal(step(state, linear, WEIGHTS).flow, pure_step(state, linear, WEIGHTS).flow)


def test_without_a_compiler_it_goes_on_in_place(monkeypatch):
    def broken(function, **options):
        def fails(*tensors):
            raise RuntimeError("no C++ compiler found\nand much more")

        return fails

    monkeypatch.setattr(torch, "compile", broken)
    tvl1_step._compiled_step.cache_clear()
    try:
        with pytest.warns(UserWarning, match=r"does not work here \(no C\+\+ compiler found\)"):
            assert isinstance(choose_step(True, torch.device("cpu"), WEIGHTS), InPlaceStep)
    finally:
        tvl1_step._compiled_step.cache_clear()
    assert isinstance(choose_step(False, torch.device("cpu"), WEIGHTS), InPlaceStep)
