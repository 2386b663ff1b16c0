"""Saved encoders open again as they were, and anything else is refused with a reason."""

from __future__ import annotations

import json

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file

from engine.errors import UserError
from stages.nn.encoders import build_encoder
from stages.nn.head import Projection
from stages.nn.spec import Card, Narrow, Torchvision
from stages.nn.weights import load_encoder, load_head, save_encoder, save_head
from stages.video.spec import Clip, Difference

CARD = Card(
    encoder=Narrow(kind="narrow", width=4), view_name="motion", view=Difference(), clip=Clip(frames=4, size=16), stage="demo.x"
)


@pytest.fixture
def encoder():
    encoder = build_encoder(CARD.encoder, 3, seed=5).to(memory_format=torch.channels_last_3d)
    encoder(torch.randn(4, 3, 4, 16, 16))  # so that the batch statistics are not those of a new network
    return encoder


def test_round_trip(tmp_path, encoder):
    file = save_encoder(tmp_path, encoder, CARD)
    clips = torch.randn(2, 3, 4, 16, 16)
    for path in (tmp_path, file):
        loaded, card = load_encoder(path)
        assert card == CARD and not loaded.training
        torch.testing.assert_close(loaded(clips), encoder.eval()(clips))
        assert all(torch.equal(a, b) for a, b in zip(loaded.state_dict().values(), encoder.state_dict().values()))


def test_the_same_weights_give_the_same_bytes(tmp_path, encoder):
    plain = build_encoder(CARD.encoder, 3, seed=0)
    plain.load_state_dict(encoder.state_dict())
    one, two = (save_encoder(tmp_path / n, e, CARD).read_bytes() for n, e in (("a", encoder), ("b", plain)))
    assert one == two


def test_the_file_says_what_it_is(tmp_path, encoder):
    with safe_open(save_encoder(tmp_path, encoder, CARD), "pt") as file:
        said = json.loads(file.metadata()["vidspec"])
        assert "0.0.weight" in file.keys()
    assert said["encoder"] == {"kind": "narrow", "width": 4}
    assert (said["view_name"], said["view"]["kind"]) == ("motion", "difference")
    assert (said["clip"]["frames"], said["stage"]) == (4, "demo.x")


def test_pretrained_weights_are_not_looked_for_when_opening_a_result(tmp_path):
    spec = Torchvision(kind="r3d_18", weights="KINETICS400_V1")
    bare = build_encoder(Torchvision(kind="r3d_18"), 3, seed=0)
    save_encoder(tmp_path, bare, CARD.model_copy(update={"encoder": spec}))
    assert load_encoder(tmp_path)[1].encoder == spec


def test_other_files_are_refused(tmp_path, encoder):
    with pytest.raises(UserError, match="no such file"):
        load_encoder(tmp_path)
    save_file({"a": torch.zeros(1)}, tmp_path / "plain.safetensors")
    with pytest.raises(UserError, match="does not say what encoder it holds"):
        load_encoder(tmp_path / "plain.safetensors")
    (tmp_path / "text.safetensors").write_text("no")
    with pytest.raises(UserError, match="cannot be read"):
        load_encoder(tmp_path / "text.safetensors")
    wider = CARD.model_copy(update={"encoder": Narrow(kind="narrow", width=8)})
    with pytest.raises(UserError, match="does not hold the weights .* 0.0.weight"):
        load_encoder(save_encoder(tmp_path / "wider", encoder, wider))


def test_a_head_is_taken_up_when_it_fits(tmp_path):
    head = Projection(6, 4, seed=0)
    save_head(tmp_path, head)
    same, narrower = Projection(6, 4, seed=1), Projection(6, 3, seed=1)
    untouched = narrower[0].weight.clone()
    assert load_head(tmp_path, same) and torch.equal(same[2].weight, head[2].weight)
    assert not load_head(tmp_path, narrower) and torch.equal(narrower[0].weight, untouched)
    assert not load_head(tmp_path / "nowhere", same)
