"""The backend of an algorithm on this machine: frames in, flow out."""

from __future__ import annotations

import importlib
import warnings
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from engine.errors import UserError
from stages.video.flow_spec import Dis, DualTvl1, Raft, Tvl1

if TYPE_CHECKING:
    import torch

    from engine.run.local import Local

FlowBackend = Callable[[np.ndarray], np.ndarray]
"""RGB frames uint8 [T, H, W, 3] -> flow from each to the next, float32 [T - 1, H, W, 2], (u, v) in pixels."""
MEMORY_GB = 4.0
"""What a batch of pairs may take of the device. A constant, so that batches do not depend on what else is running."""


def open_backend(
    algorithm: Tvl1 | DualTvl1 | Raft | Dis,
    device: torch.device | str,
    local: Local,
    threads: int,
    memory_gb: float = MEMORY_GB,
) -> FlowBackend:
    """The function that computes flow by ``algorithm``; weights are loaded here and kept.

    device: where networks run, and TV-L1 if it is a GPU; numba and OpenCV work on the CPU whatever it is. threads: of
    the CPU. memory_gb: of the device, for one batch of pairs.
    Raises UserError when something that the algorithm needs is not on this machine.
    """
    import torch

    device = torch.device(device)
    if isinstance(algorithm, Tvl1):
        return _tvl1(algorithm, device, threads, memory_gb)
    if isinstance(algorithm, DualTvl1):
        if reason := _numba_fails():
            raise UserError(
                f"the flow algorithm dual_tvl1 needs numba, which cannot be imported ({reason}). Install it: "
                "pip install numba; or take the algorithm tvl1, which runs without"
            )
        from stages.flow.dual_tvl1 import dual_tvl1_flow

        return partial(dual_tvl1_flow, config=algorithm, threads=threads)
    if isinstance(algorithm, Dis):
        from stages.flow.dis import DisFlow

        return DisFlow(algorithm, threads)
    from stages.flow.raft import open_raft

    folder = Path(local.weights).expanduser() if local.weights else None
    return _on_threads(open_raft(algorithm, device, folder, memory_gb), threads)


def _tvl1(config: Tvl1, device: torch.device, threads: int, memory_gb: float) -> FlowBackend:
    reason = _numba_fails() if device.type == "cpu" else ""
    if device.type == "cpu" and not reason:
        from stages.flow.tvl1 import tvl1_flow

        return partial(tvl1_flow, config=config, threads=threads)
    if reason:
        warnings.warn(
            f"numba cannot be imported ({reason}): TV-L1 runs in torch, several times slower. pip install numba",
            stacklevel=3,
        )
    from stages.flow.tvl1_torch import tvl1_flow_torch

    return _on_threads(partial(tvl1_flow_torch, config=config, device=device, memory_gb=memory_gb), threads)


def _numba_fails() -> str:
    """Why numba cannot be imported (absent, or not made for this NumPy); empty when it can."""
    try:
        importlib.import_module("numba")
    except ImportError as error:
        return str(error).splitlines()[0]
    return ""


def _on_threads(backend: FlowBackend, threads: int) -> FlowBackend:
    """``backend`` on so many of torch's CPU threads, whose number is left as it was."""
    import torch

    def run(frames: np.ndarray) -> np.ndarray:
        before = torch.get_num_threads()
        torch.set_num_threads(threads)
        try:
            return backend(frames)
        finally:
            torch.set_num_threads(before)

    return run
