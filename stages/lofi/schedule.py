"""What each step of the training sees: a pure function of the step, the same on every rank and after a kill.

LoFi (Xu et al., NeurIPS 2021), section 3.2: with m configurations in a cycle, a long cycle is at configuration
(epoch // period) mod m, a short one at (batch // period) mod m, batches counted over the whole training.
"""

from __future__ import annotations

from stages.lofi.spec import Constant, Cycle, Fidelity, Long, Reduction
from stages.snippets.spec import Snippets


def fidelity_at(cycle: Cycle, step: int, steps_per_epoch: int) -> Fidelity:
    """The configuration of step ``step`` (from 0)."""
    if isinstance(cycle, Constant):
        return cycle.fidelity
    passed = step // steps_per_epoch if isinstance(cycle, Long) else step
    return cycle.order[passed // cycle.period % len(cycle.order)]


def reduced(full: Snippets, by: Reduction) -> Snippets:
    """L / r_t snippets of H / r_s pixels, to the nearest whole number, 1 at least (section 3.2, I to III)."""
    count, size = round(full.count / by.time), round(full.size / by.space)
    return full.model_copy(update={"count": max(count, 1), "size": max(size, 1)})
