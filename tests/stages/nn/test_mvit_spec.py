"""MViTs in a spec: what they refuse, how wide their tokens are, and which weights fit."""

from __future__ import annotations

import hashlib
import json

import pytest
import torch
from pydantic import TypeAdapter, ValidationError
from torchvision.models import video

from engine.compile.plan import identity
from stages.nn.encoders import TokenEncoder, build_encoder
from stages.nn.spec import Card, Encoder, MaskFeatMvit, MvitV2, SmallMvit, init_problem, untrained
from stages.nn.weights import load_encoder, save_encoder
from stages.study import Study
from stages.video.spec import Clip, Difference, Rgb

SHALLOW = SmallMvit(kind="mvit_small", patch=8, blocks=(1, 1, 1), table_size=16)
KINETICS = {"kind": "mvit_v2_s", "weights": "KINETICS400_V1"}
SMALL = SmallMvit(kind="mvit_small", width=8, blocks=(1, 1), last_stride=False, table_frames=4, table_size=32)


def parsed(content: dict) -> Encoder:
    return TypeAdapter(Encoder).validate_json(json.dumps(content))


def test_the_kinds_of_a_spec():
    assert parsed({"kind": "mvit_v2_s"}) == MvitV2(kind="mvit_v2_s", pool="class_token")
    assert parsed({"kind": "maskfeat_s", "last_stride": False}) == MaskFeatMvit(kind="maskfeat_s", last_stride=False)
    assert parsed({"kind": "mvit_small", "blocks": [1, 3]}).blocks == (1, 3)
    assert parsed({"kind": "maskfeat_l"}).pool == parsed({"kind": "mvit_small"}).pool == "mean"


@pytest.mark.parametrize(
    "fields, words",
    [
        ({"width": 12}, "multiple of 8"),
        ({"blocks": [3]}, "at least 2 items"),
        ({"blocks": [1, 0]}, "greater than or equal to 1"),
        ({"patch": 3}, "2, 4 or 8"),
        ({"table_frames": 5}, "multiple of 2"),
        ({"bn_eps": 1e-5}, "not permitted"),
    ],
)
def test_fields_that_cannot_be(fields, words):
    with pytest.raises(ValidationError, match=words):
        parsed({"kind": "mvit_small"} | fields)


@pytest.mark.parametrize(
    "spec, side",
    [
        (MvitV2(kind="mvit_v2_s"), 32),
        (MaskFeatMvit(kind="maskfeat_s", last_stride=False), 16),
        (SmallMvit(kind="mvit_small", blocks=(1, 2, 2), patch=4), 16),
        (SmallMvit(kind="mvit_small", blocks=(1, 2, 2), patch=2, last_stride=False), 4),
        (SMALL, 4),
    ],
)
def test_pixels_of_a_token(spec, side):
    assert spec.token_side == side
    encoder = build_encoder(spec, 3, seed=0) if spec.kind == "mvit_small" else None
    if encoder:
        assert encoder.tokens(torch.randn(1, 3, 2, 64, 64)).shape[1:4] == (1, 64 // side, 64 // side)


@pytest.mark.parametrize(
    "spec, clip, words",
    [
        (MvitV2(kind="mvit_v2_s"), Clip(frames=15, size=224), "mvit_v2_s takes clips of an even number of frames"),
        (MaskFeatMvit(kind="maskfeat_s"), Clip(frames=16, size=110), "multiple of 4 pixels"),
        (SmallMvit(kind="mvit_small", patch=8), Clip(frames=8, size=60), "multiple of 8 pixels"),
        (SHALLOW, Clip(frames=8, size=64), "table_size is 32 at least"),
    ],
)
def test_clips_and_tables_that_cannot_be(spec, clip, words):
    assert words in spec.refuses(clip, Rgb())


def test_clips_of_any_size_that_patches_tile():
    for clip in (Clip(frames=16, size=224), Clip(frames=8, size=112), Clip(frames=2, size=36)):
        assert MvitV2(kind="mvit_v2_s").refuses(clip, Rgb()) is None and SMALL.refuses(clip, Difference()) is None


def test_trained_weights_are_for_rgb_and_can_be_dropped():
    clip = Clip(frames=16, size=224)
    assert parsed(KINETICS).refuses(clip, Rgb()) is None
    assert "for RGB, not for a view of kind 'difference'" in parsed(KINETICS).refuses(clip, Difference())
    assert untrained(parsed(KINETICS)) == MvitV2(kind="mvit_v2_s")


def test_stage_files_of_before_keep_their_identity():
    assert identity(MvitV2(kind="mvit_v2_s")) == {"kind": "mvit_v2_s", "weights": None}


def test_a_training_starts_from_the_same_network_only():
    other = {"kind": "mvit_small", "last_stride": False, "width": 16}
    content = {
        "spec": 1,
        "name": "demo",
        "data": {"kind": "synthetic_actions"},
        "encoder": {"kind": "mvit_small"},
        "clip": {"frames": 8, "size": 48},
        "models": {
            "a": {"method": "infonce"},
            "b": {"method": "infonce", "init": "a", "encoder": other},
        },
    }
    study = Study.model_validate_json(json.dumps(content))
    problem = init_problem(study, study.models["b"], "rgb", "a", ("init",))
    assert "has encoder mvit_small, this one mvit_small with last_stride False, width 16" in problem.message
    assert init_problem(study, study.models["a"], "rgb", "a", ("init",)) is None


def test_torchvisions_weights_without_the_last_stride(tmp_path, monkeypatch):
    """What follows is for networks with it; two tables of the last block are stretched, and nothing else is changed."""
    with torch.device("meta"):
        blank = video.mvit_v2_s().state_dict()
    ramps = {name: torch.linspace(-1, 1, len(t)).view(-1, *[1] * (t.dim() - 1)) for name, t in blank.items()}
    state = {name: ramp.expand(blank[name].shape).clone() for name, ramp in ramps.items()}
    torch.save(state, tmp_path / "state.pth")
    digest = hashlib.sha256((tmp_path / "state.pth").read_bytes()).hexdigest()
    (tmp_path / "state.pth").rename(tmp_path / f"mvit-{digest[:8]}.pth")
    entry = type("Entry", (), {"url": f"https://nowhere.example/mvit-{digest[:8]}.pth"})
    monkeypatch.setattr("torchvision.models.get_model_weights", lambda kind: {"KINETICS400_V1": entry})
    body = build_encoder(parsed(KINETICS | {"last_stride": False}), 3, seed=0, weights=tmp_path).body.state_dict()
    changed = [name for name in body if body[name].shape != state[name].shape]
    assert changed == ["blocks.15.attn.rel_pos_h", "blocks.15.attn.rel_pos_w"]
    assert (len(state[changed[0]]), len(body[changed[0]])) == (13, 27) and (body[changed[0]].diff(dim=0) >= 0).all()
    assert all(torch.equal(tensor, state[name]) for name, tensor in body.items() if name not in changed)


def test_an_encoder_as_a_file(tmp_path):
    encoder = build_encoder(SMALL, 3, seed=3).eval()
    card = Card(encoder=SMALL, view_name="rgb", view=Rgb(), clip=Clip(frames=4, size=32), stage="demo.m")
    save_encoder(tmp_path, encoder, card)
    again, read = load_encoder(tmp_path)
    clips = torch.randn(2, 3, 4, 32, 32)
    assert isinstance(again, TokenEncoder) and read == card
    assert torch.equal(again(clips), encoder(clips))
