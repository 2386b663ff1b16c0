"""Checkpoints like those of CoCLR's public code, with random weights."""

from __future__ import annotations

import pytest
import torch

from engine.run.local import Local
from tests.stages.checkpoint.public_s3d import backbone, head, prefixed, twice


@pytest.fixture(scope="session")
def theirs() -> dict[str, torch.Tensor]:
    """The backbone of the query encoder; not to be changed."""
    return backbone(1)


@pytest.fixture(scope="session")
def content(theirs) -> dict:
    """A whole checkpoint of the CoCLR stage; not to be changed."""
    # Nothing of these counts: one stored number each, spread over the shape, keeps the file small.
    others = {name: torch.zeros(()).expand(t.shape) for name, t in twice(theirs).items()}
    state = prefixed("module.encoder_q.0.", twice(theirs)) | prefixed("module.encoder_q.", head(3))
    for network in ("encoder_k", "sampler"):
        state |= prefixed(f"module.{network}.0.", others)
        state |= {f"module.{network}.{name}": torch.zeros(()).expand(t.shape) for name, t in head(3).items()}
    state |= {"module.queue": torch.zeros(128, 8), "module.queue_ptr": torch.zeros(1, dtype=torch.long)}
    state |= {"module.queue_second": torch.zeros(128, 8), "module.queue_vname": torch.zeros(8, dtype=torch.long)}
    state["module.queue_label"] = torch.zeros(8, dtype=torch.long)
    optimizer = {"state": {0: {"step": 5, "exp_avg": torch.zeros(3)}}, "param_groups": [{"lr": 1e-3, "params": [0]}]}
    return {"epoch": 182, "state_dict": state, "best_acc": 0.5, "optimizer": optimizer, "iteration": 9}


@pytest.fixture
def local(tmp_path) -> Local:
    (tmp_path / "weights").mkdir()
    return Local(device="cpu", workers=0, weights=str(tmp_path / "weights"))
