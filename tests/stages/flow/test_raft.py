"""RAFT with random weights under the names of the real files: what goes in and out, not how well it sees."""

from __future__ import annotations

import hashlib
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
import torchvision.models
from torch import nn
from torchvision.models.optical_flow import raft_small

from engine.errors import UserError
from stages.flow.raft import BYTES_PER_MATCH, BYTES_PER_PIXEL, RaftFlow, margins, open_raft, pairs_at_once
from stages.video.flow_spec import Raft
from tests.stages.flow.moving_scenes import noise

SPEC = Raft(kind="raft", updates=2)


@pytest.fixture(scope="module")
def network() -> nn.Module:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return raft_small().eval()


@pytest.fixture
def weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, network: nn.Module) -> Path:
    """A folder with a file that torchvision takes for its own weights C_T_V2 of raft_small."""
    file = tmp_path / "new.pth"
    torch.save(network.state_dict(), file)
    name = f"raft_small_C_T_V2-{hashlib.sha256(file.read_bytes()).hexdigest()[:8]}.pth"
    folder = tmp_path / "weights"
    folder.mkdir()
    file.rename(folder / name)
    pretend_weights(monkeypatch, f"https://download.invalid/models/{name}")
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path / "hub"))
    return folder


def pretend_weights(monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    class Entries(dict):
        def __iter__(self):
            return iter(self.values())

    entries = Entries(C_T_V2=SimpleNamespace(name="C_T_V2", url=url))
    monkeypatch.setattr(torchvision.models, "get_model_weights", lambda kind: entries)


def test_weights_are_found_by_torchvisions_name_and_used(weights, network):
    frames = noise(3, 130, 140)
    flow = open_raft(SPEC, "cpu", weights, memory_gb=1.0)(frames)
    assert flow.shape == (2, 130, 140, 2) and flow.dtype == np.float32 and np.isfinite(flow).all()
    assert np.array_equal(flow, RaftFlow(network, 2, "cpu", 1.0)(frames))
    assert np.abs(flow).max() > 0


def test_missing_weights_say_which_file_belongs_where(weights, tmp_path):
    file = next(weights.iterdir())
    elsewhere = tmp_path / "empty"
    with pytest.raises(
        UserError, match=rf"C_T_V2 of raft_small are not on this machine. Put https.*{file.name} into {elsewhere}"
    ):
        open_raft(SPEC, "cpu", elsewhere, memory_gb=1.0)


def test_damaged_weights_are_refused(weights):
    file = next(weights.iterdir())
    content = bytearray(file.read_bytes())
    content[1000] ^= 1
    file.write_bytes(content)
    with pytest.raises(UserError, match="is damaged"):
        open_raft(SPEC, "cpu", weights, memory_gb=1.0)


def test_the_small_network_has_no_weights_of_the_large(tmp_path):
    with pytest.raises(UserError, match="no weights C_T_SKHT_V1 of raft_small, only C_T_V1, C_T_V2"):
        open_raft(Raft(kind="raft", weights="C_T_SKHT_V1"), "cpu", tmp_path, memory_gb=1.0)


@pytest.mark.parametrize(
    ("size", "expected"),
    [((240, 320), (0, 0, 0, 0)), ((241, 317), (1, 2, 3, 4)), ((128, 171), (2, 3, 0, 0)), ((20, 127), (0, 1, 54, 54))],
)
def test_margins(size, expected):
    assert margins(*size) == expected


class Shown(nn.Module):
    """Stands in for the network: keeps what it is shown, and returns the brightness of each frame as flow."""

    def forward(self, first, second, num_flow_updates):
        self.seen = (first, second, num_flow_updates)
        return [torch.zeros(()), torch.stack([first[:, 0], second[:, 0]], dim=1)]


def test_frames_are_scaled_padded_by_their_border_and_cut_back():
    network, frames = Shown(), noise(2, 33, 140)
    flow = RaftFlow(network, 7, "cpu", 1.0)(frames)
    first, second, updates = network.seen
    assert updates == 7 and first.shape == (1, 3, 128, 144)
    scaled = frames / 127.5 - 1
    left, right, top, bottom = margins(33, 140)
    padded = np.pad(scaled, ((0, 0), (top, bottom), (left, right), (0, 0)), mode="edge").transpose(0, 3, 1, 2)
    assert np.allclose(first, padded[:1], atol=1e-6) and np.allclose(second, padded[1:], atol=1e-6)
    assert np.allclose(flow[0], np.stack([scaled[0, ..., 0], scaled[1, ..., 0]], axis=-1), atol=1e-6)


def test_batches_follow_the_memory_and_change_nothing():
    frames = noise(6, 128, 128)
    one_pair = BYTES_PER_PIXEL * 128 * 128 + BYTES_PER_MATCH * (16 * 16) ** 2
    assert [pairs_at_once(120, 128, n * one_pair / 1e9) for n in (0.1, 1.0, 2.5, 9.0)] == [1, 1, 2, 9]
    whole, parts = (RaftFlow(Shown(), 1, "cpu", n * one_pair / 1e9)(frames) for n in (10, 2.5))
    assert whole.shape == (5, 128, 128, 2) and np.array_equal(whole, parts)


@pytest.mark.parametrize("count", [0, 1])
def test_no_pair_no_flow(count):
    assert RaftFlow(Shown(), 1, "cpu", 1.0)(noise(count, 20, 30)).shape == (0, 20, 30, 2)
