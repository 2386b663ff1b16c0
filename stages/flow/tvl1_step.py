"""One primal-dual iteration of TV-L1 for a batch of pairs: in place, or as a pure function that torch.compile can fuse.

Both follow scikit-image's scheme to its order of operations. Flow, auxiliary flow and the duals of each direction
are [2 (u, v), N, H, W]; those of u and of v do not depend on each other, so that one operation serves both.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from functools import cache
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import pad

from stages.flow.pyramid_torch import gradients, warped

FLAT = 1e-10
"""Squared slopes below this are no slope: their reciprocal is meaningless, and overflows for denormal numbers."""
INNER = 2
"""Dual steps after each data step (scikit-image's ``reg_num_iter``)."""
TAU = 0.25
"""Time step of the dual ascent: a half over the number of dimensions."""


class Weights(NamedTuple):
    """reach: how far, in slopes, a data step goes at most (attachment x tightness). pull: TAU / tightness."""

    reach: float
    pull: float


class Linear(NamedTuple):
    """The second frame near the present flow: brightness error = rest + gradient . flow, everything [N, H, W].

    gradient: [2, N, H, W]. inverse: 1 / |gradient|^2, or 1 where there is no slope.
    """

    gradient: Tensor
    rest: Tensor
    inverse: Tensor


class State(NamedTuple):
    """flow, auxiliary: the two halves of the split problem. across, down: dual variables of the slopes in x and y."""

    flow: Tensor
    auxiliary: Tensor
    across: Tensor
    down: Tensor


Step = Callable[[State, Linear, Weights], State]


def linearised(first: Tensor, second: Tensor, flow: Tensor) -> Linear:
    """Frames [N, H, W] and flow [2, N, H, W] -> the brightness error to first order around that flow."""
    moved = warped(second, flow)
    gradient = gradients(moved)
    inverse = gradient[0].square().addcmul_(gradient[1], gradient[1])
    inverse.masked_fill_(inverse < FLAT, 1).reciprocal_()
    rest = moved.sub_(first).addcmul_(gradient[0], flow[0], value=-1).addcmul_(gradient[1], flow[1], value=-1)
    return Linear(gradient, rest, inverse)


class InPlaceStep:
    """The iteration in whole-tensor operations that write where they read; overwrites the state that it is given."""

    def __init__(self) -> None:
        self._scratch: tuple[Tensor, ...] = ()

    def __call__(self, state: State, linear: Linear, weights: Weights) -> State:
        flow, auxiliary, across, down = state
        gradient, rest, inverse = linear
        error, right, below, norm, one = self._buffers(flow)
        torch.addcmul(rest, gradient[0], flow[0], out=error).addcmul_(gradient[1], flow[1])
        error.mul_(inverse).clamp_(-weights.reach, weights.reach)
        torch.addcmul(flow, gradient, error, value=-1, out=auxiliary)
        current = auxiliary
        for _ in range(INNER):
            torch.sub(current[..., 1:], current[..., :-1], out=right[..., :-1])
            torch.sub(current[..., 1:, :], current[..., :-1, :], out=below[..., :-1, :])
            torch.mul(right, right, out=norm).addcmul_(below, below).sqrt_()
            torch.add(one, norm, alpha=weights.pull, out=norm)
            across.sub_(right, alpha=TAU).div_(norm)
            down.sub_(below, alpha=TAU).div_(norm)
            torch.sub(auxiliary, across, out=flow).sub_(down)
            flow[..., 1:].add_(across[..., :-1])
            flow[..., 1:, :].add_(down[..., :-1, :])
            current = flow
        return state

    def _buffers(self, flow: Tensor) -> tuple[Tensor, ...]:
        if not self._scratch or self._scratch[1].shape != flow.shape:
            self._scratch = ()  # the old ones are freed before the new ones are made
            # the last column of `right` and the last row of `below` stay zero
            pair = (torch.zeros_like(flow), torch.zeros_like(flow), torch.empty_like(flow))
            self._scratch = (torch.empty_like(flow[0]), *pair, torch.ones((), device=flow.device))
        return self._scratch


def pure_step(state: State, linear: Linear, weights: Weights) -> State:
    """The iteration as a function of its inputs. A compiler that fuses keeps a fraction of its memory traffic."""
    flow, _, across, down = state
    gradient, rest, inverse = linear
    error = (rest + gradient[0] * flow[0] + gradient[1] * flow[1]) * inverse
    auxiliary = flow - gradient * error.clamp(-weights.reach, weights.reach)
    flow = auxiliary
    for _ in range(INNER):
        right = pad(flow[..., 1:] - flow[..., :-1], (0, 1))
        below = pad(flow[..., 1:, :] - flow[..., :-1, :], (0, 0, 0, 1))
        norm = 1 + weights.pull * torch.sqrt(right * right + below * below)
        across = (across - TAU * right) / norm
        down = (down - TAU * below) / norm
        left, above = pad(across[..., :-1], (1, 0)), pad(down[..., :-1, :], (0, 0, 1, 0))
        flow = auxiliary - across - down + left + above
    return State(flow, auxiliary, across, down)


def choose_step(compiled: bool, device: torch.device, weights: Weights) -> Step:
    """The compiled iteration where it is wanted and works on this machine, else the one in place."""
    return (_compiled_step(device, weights) if compiled else None) or InPlaceStep()


@cache
def _compiled_step(device: torch.device, weights: Weights) -> Step | None:
    """torch.compile of ``pure_step``, tried on a small pair; None, with a warning, where that fails for any reason."""
    step = torch.compile(pure_step)
    try:
        # sizes that differ, and are marked: others are taken for constants, and each set of them compiled anew
        pairs = [torch.zeros(2, 3, 7, 5, device=device) for _ in range(5)]
        planes = [torch.zeros(3, 7, 5, device=device) for _ in range(2)]
        for tensor in (*pairs, *planes):
            torch._dynamo.mark_dynamic(tensor, list(range(tensor.ndim - 3, tensor.ndim)))
        with torch.no_grad():
            step(State(*pairs[:4]), Linear(pairs[4], *planes), weights)
    except Exception as error:  # noqa: BLE001 - no compiler, no Triton, an unknown card: it goes on without, slower
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        warnings.warn(f"torch.compile does not work here ({reason}): TV-L1 runs without it, slower", stacklevel=2)
        return None
    return step
