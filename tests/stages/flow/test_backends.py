"""Which backend an algorithm gets on which machine."""

from __future__ import annotations

import sys
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from engine.errors import UserError
from engine.run.local import Local
from stages.flow import raft, tvl1_torch
from stages.flow.backends import open_backend
from stages.flow.dis import DisFlow
from stages.video.flow_spec import Dis, DualTvl1, Raft, Tvl1
from tests.stages.flow.moving_scenes import end_point_error, inner, noise, shifted

LOCAL = Local()


@pytest.fixture
def no_numba(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "numba", None)


def test_without_numba_tvl1_runs_in_torch_and_says_so(no_numba):
    frames = shifted((50, 60), 1.5, -0.5)
    with pytest.warns(UserWarning, match="numba cannot be imported .*runs in torch"):
        backend = open_backend(Tvl1(), "cpu", LOCAL, threads=1)
    assert np.array_equal(backend(frames), tvl1_torch.tvl1_flow_torch(frames, Tvl1(), "cpu", 4.0))
    assert end_point_error(inner(backend(frames)), (1.5, -0.5)) < 0.1


def test_without_numba_dual_tvl1_is_refused(no_numba):
    with pytest.raises(UserError, match="dual_tvl1 needs numba, which cannot be imported .*tvl1, which runs without"):
        open_backend(DualTvl1(kind="dual_tvl1"), "cpu", LOCAL, threads=1)


@pytest.mark.parametrize("device", ["cpu", "cuda:1"])
def test_on_a_gpu_tvl1_runs_there_and_dual_tvl1_on_the_cpu(monkeypatch, device):
    calls = []

    def backend(name):
        def run(frames, *given, **named):
            calls.append((name, given, named))
            return np.zeros((len(frames) - 1, *frames.shape[1:3], 2), np.float32)

        return run

    monkeypatch.setitem(sys.modules, "numba", SimpleNamespace())
    monkeypatch.setitem(sys.modules, "stages.flow.tvl1", SimpleNamespace(tvl1_flow=backend("numba")))
    monkeypatch.setitem(sys.modules, "stages.flow.dual_tvl1", SimpleNamespace(dual_tvl1_flow=backend("dual")))
    monkeypatch.setattr(tvl1_torch, "tvl1_flow_torch", backend("torch"))
    config, dual, frames = Tvl1(num_warp=2), DualTvl1(kind="dual_tvl1"), noise(2, 8, 8)
    open_backend(config, device, LOCAL, threads=3, memory_gb=2.0)(frames)
    open_backend(dual, device, LOCAL, threads=3)(frames)
    on_gpu = ("torch", (), {"config": config, "device": torch.device(device), "memory_gb": 2.0})
    on_cpu = ("numba", (), {"config": config, "threads": 3})
    assert calls == [on_gpu if device == "cuda:1" else on_cpu, ("dual", (), {"config": dual, "threads": 3})]


@pytest.mark.parametrize("algorithm", [Tvl1(), DualTvl1(kind="dual_tvl1")], ids=["tvl1", "dual_tvl1"])
def test_the_real_kernels_keep_the_contract(algorithm):
    pytest.importorskip("numba")
    frames = shifted((50, 61), 1.5, -0.5, frames=3)
    field = open_backend(algorithm, "cpu", LOCAL, threads=2)(frames)
    assert field.shape == (2, 50, 61, 2) and field.dtype == np.float32
    assert end_point_error(inner(field), (1.5, -0.5)) < 0.15


def test_torch_uses_the_threads_that_it_is_given_and_no_longer(monkeypatch, no_numba):
    seen = []

    def run(frames, **named):
        seen.append(torch.get_num_threads())
        return frames

    monkeypatch.setattr(tvl1_torch, "tvl1_flow_torch", run)
    before = torch.get_num_threads()
    with pytest.warns(UserWarning):
        open_backend(Tvl1(), "cpu", LOCAL, threads=before + 1)(noise(2, 8, 8))
    assert seen == [before + 1] and torch.get_num_threads() == before


def test_raft_looks_for_its_weights_where_local_says(monkeypatch, tmp_path):
    seen = []
    monkeypatch.setattr(raft, "open_raft", lambda *given: seen.append(given) or (lambda frames: frames))
    spec, frames = Raft(kind="raft"), noise(2, 8, 8)
    backend = open_backend(spec, "cpu", Local(weights=str(tmp_path)), threads=1, memory_gb=3.0)
    assert backend(frames) is frames
    open_backend(spec, "cpu", LOCAL, threads=1)
    assert seen == [(spec, torch.device("cpu"), tmp_path, 3.0), (spec, torch.device("cpu"), None, 4.0)]


def test_dis():
    pytest.importorskip("cv2")
    assert isinstance(open_backend(Dis(kind="dis"), "cuda", LOCAL, threads=2), DisFlow)
