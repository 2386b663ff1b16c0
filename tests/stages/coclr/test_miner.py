"""The frozen network that mines."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch.nn import functional as F

from stages.coclr.miner import load_miner
from stages.nn.encoders import VideoEncoder, build_encoder
from stages.nn.head import Projection
from stages.nn.spec import Card, Narrow
from stages.nn.weights import save_encoder, save_head
from stages.video.spec import Clip, Rgb

NETWORK = Narrow(kind="narrow", width=4)


@pytest.fixture
def trained(tmp_path) -> tuple[Path, VideoEncoder, Projection]:
    """An encoder whose BatchNorm has seen other clips than the tests', and a head, as a training leaves them."""
    encoder = build_encoder(NETWORK, 3, 1).train()
    encoder(3 * torch.randn(8, 3, 4, 16, 16, generator=torch.Generator().manual_seed(9)))
    head = Projection(encoder.features, 8, 1)
    save_encoder(tmp_path, encoder, Card(encoder=NETWORK, view_name="x", view=Rgb(), clip=Clip(), stage="demo.x.s0"))
    save_head(tmp_path, head)
    return tmp_path, encoder.eval(), head


def clips(n: int = 3) -> torch.Tensor:
    return torch.randn(n, 3, 4, 16, 16, generator=torch.Generator().manual_seed(0))


def test_it_is_the_encoder_with_its_head_of_unit_length(trained, make_context):
    folder, encoder, head = trained
    miner = load_miner(folder, Rgb(), 8, make_context())
    with torch.no_grad():
        expected = F.normalize(head(encoder(clips())), dim=1)
    assert miner.width == 8
    torch.testing.assert_close(miner(clips()), expected)


def test_what_a_clip_is_does_not_depend_on_its_batch(trained, make_context):
    miner = load_miner(trained[0], Rgb(), 8, make_context())
    torch.testing.assert_close(miner(clips())[:1], miner(clips()[:1]))


def test_it_learns_nothing(trained, make_context):
    miner = load_miner(trained[0], Rgb(), 8, make_context())
    before = {name: value.clone() for name, value in miner.state_dict().items()}
    assert not miner(clips()).requires_grad and not any(p.requires_grad for p in miner.parameters())
    assert all(torch.equal(before[name], value) for name, value in miner.state_dict().items())


def test_without_a_head_of_that_width_features_are_compared(trained, make_context):
    folder, encoder, _ = trained
    miner = load_miner(folder, Rgb(), 16, make_context())
    with torch.no_grad():
        expected = F.normalize(encoder(clips()), dim=1)
    assert miner.width == encoder.features
    torch.testing.assert_close(miner(clips()), expected)
