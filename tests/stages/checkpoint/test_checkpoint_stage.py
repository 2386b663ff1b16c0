"""The checkpoint stage: foreign files in, encoders out, or a sentence that says why not."""

from __future__ import annotations

import hashlib
import json

import pytest
import torch
from torch.nn import functional as F

from engine.errors import UserError
from engine.run.local import Local
from stages.checkpoint.spec import PUBLIC_S3D, Config
from stages.checkpoint.stage import run
from stages.nn.coclr_names import public_name
from stages.nn.encoders import build_encoder
from stages.nn.head import Projection
from stages.nn.spec import Narrow
from stages.nn.weights import load_encoder, load_head
from stages.video.spec import Clip, Rgb
from tests.stages.checkpoint.public_s3d import forward, prefixed, shapes, twice

FILE = "coclr-ucf101-rgb.pth.tar"
NARROW = Narrow(kind="narrow", width=4)


def config(**changes) -> Config:
    fields = {"encoder": PUBLIC_S3D, "file": FILE, "format": "coclr", "sha256": None}
    return Config(view_name="rgb", view=Rgb(), clip=Clip(frames=8, size=32), **(fields | changes))


@pytest.fixture
def convert(make_context, tmp_path, local):
    """Save the content of a checkpoint, and run the stage on it."""

    def go(content, out: str = "out", legacy: bool = False, **changes):
        torch.save(content, tmp_path / "weights" / FILE, _use_new_zipfile_serialization=not legacy)
        return run(config(**changes), make_context(out=out, local=local))

    return go


def test_every_weight_has_its_name_and_shape():
    ours = build_encoder(PUBLIC_S3D, 3, seed=0).body.state_dict()
    assert {public_name(key): tuple(t.shape) for key, t in ours.items()} == shapes()
    learnt = [t for key, t in ours.items() if key.endswith((".weight", ".bias"))]
    assert sum(t.numel() for t in learnt) == 7_910_048


def test_a_whole_checkpoint_computes_what_the_public_network_computes(convert, content, theirs, tmp_path, capsys):
    metrics = convert(content)
    encoder, card = load_encoder(tmp_path / "out")
    assert (card.encoder, card.stage) == (PUBLIC_S3D, "demo.x")
    clips = torch.randn(2, 3, 8, 33, 40, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        expected = forward({name: t.double() for name, t in theirs.items()}, clips)
        assert expected.std() > 0.01
        torch.testing.assert_close(encoder.double()(clips), expected, rtol=1e-7, atol=1e-9)
    counts = {"matched": len(shapes()), "missing": 0, "unexpected": 0}
    assert metrics["weights"] == counts and metrics["features"] == 1024 and metrics["head"] is True
    assert metrics["parameters"] == 7_910_048
    digest = hashlib.sha256((tmp_path / "weights" / FILE).read_bytes()).hexdigest()
    match = json.loads((tmp_path / "out" / "match.json").read_text())
    assert metrics["sha256"] == match["sha256"] == digest
    assert match["prefix"] == "state_dict.module.encoder_q.0." and set(match["matched"]) == set(shapes())
    each = 2 * len(shapes()) + 4
    assert match["known besides"] == {
        "key encoder": each,
        "mining encoder": each,
        "queue": 5,
        "optimiser": 1,
        "second copy": len(shapes()),
        "head": 4,
    }
    printed = capsys.readouterr()
    shown = printed.out + printed.err
    assert f"{len(shapes())} weights matched" in shown and f"sha256: {digest}" in shown


def test_the_head_is_kept_as_linear_layers(convert, content, tmp_path):
    convert(content)
    ours = Projection(1024, 128, seed=9)
    assert load_head(tmp_path / "out", ours)
    features = torch.randn(3, 1024)
    state = {k.removeprefix("module.encoder_q."): t for k, t in content["state_dict"].items() if ".encoder_q." in k}
    hidden = F.conv3d(features.view(3, 1024, 1, 1, 1), state["2.weight"], state["2.bias"]).relu()
    expected = F.conv3d(hidden, state["4.weight"], state["4.bias"]).flatten(1)
    torch.testing.assert_close(ours(features), expected, rtol=1e-4, atol=1e-3)


@pytest.mark.parametrize("prefix", ["", "encoder_q.0.", "backbone.", "0."])
def test_other_ways_in_which_the_backbone_is_kept(convert, theirs, tmp_path, prefix):
    """A bare backbone; without DDP's prefix; a classifier on top; the query encoder alone. Old files have no zip."""
    state = prefixed(prefix, twice(theirs) if prefix else theirs)
    if prefix == "backbone.":
        state |= {"final_bn.bias": torch.zeros(1024), "final_fc.0.weight": torch.zeros(5, 1024)}
    metrics = convert(state if not prefix else {"state_dict": state}, legacy=prefix == "0.")
    assert metrics["head"] is False and not (tmp_path / "out" / "head.safetensors").exists()
    assert metrics["weights"] == {"matched": len(shapes()), "missing": 0, "unexpected": 0}
    weight = load_encoder(tmp_path / "out")[0].body.features[15].branch3[1][0].weight
    assert torch.equal(weight, theirs["Mixed_5c.branch3.1.conv.weight"])


def test_every_seed_gets_the_same_weights(convert, content, tmp_path, make_context, local):
    convert(content, out="a")
    context = make_context(out="b", local=local)
    context.seed = 7
    run(config(), context)
    for name in ("encoder.safetensors", "head.safetensors", "match.json"):
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()


def changed(content: dict, **state) -> dict:
    """The checkpoint with some weights of the query encoder exchanged, or taken away (None)."""
    new = dict(content["state_dict"])
    for name, tensor in state.items():
        new[f"module.encoder_q.{name}"] = tensor
    return content | {"state_dict": {key: tensor for key, tensor in new.items() if tensor is not None}}


@pytest.mark.parametrize(
    "change, words",
    [
        ({"0.Mixed_4c.branch1.1.conv2.weight": None}, r"lacks Mixed_4c.branch1.1.conv2.weight .*Is it whole"),
        ({"0.Conv_1a.conv1.weight": torch.zeros(64, 2, 1, 7, 7)}, "another shape for Conv_1a.conv1.weight"),
        ({"0.Mixed_3b.gating_b0.fc.weight": torch.zeros(64, 64)}, "more layers than S3D.*gating_b0.fc.weight"),
        ({"0.block2.1.bn.bias": torch.ones(64)}, "second copy of weights differs .*block2.1.bn.bias"),
    ],
)
def test_a_query_encoder_that_is_not_whole_is_refused(convert, content, tmp_path, change, words):
    """Though the key encoder beside it would fit."""
    with pytest.raises(UserError, match=words):
        convert(changed(content, **change))
    assert not (tmp_path / "out" / "encoder.safetensors").exists()


def test_a_head_of_another_width_is_left_out(convert, content, tmp_path):
    change = {"2.weight": torch.zeros(512, 1024, 1, 1, 1), "2.bias": torch.zeros(512)}
    assert convert(changed(content, **change))["head"] is False
    assert not (tmp_path / "out" / "head.safetensors").exists()


def test_what_nobody_knows_is_reported(convert, content, tmp_path, capsys):
    metrics = convert(content | {"mean_teacher": torch.zeros(3)})
    assert metrics["weights"]["unexpected"] == 1
    assert json.loads((tmp_path / "out" / "match.json").read_text())["unexpected"] == ["mean_teacher"]
    printed = capsys.readouterr()
    assert "not used: mean_teacher" in printed.out + printed.err


def test_another_network_is_refused(convert):
    with pytest.raises(UserError, match=r"lacks Conv_1a.conv1.weight.* and \d+ more \(0 of \d+ weights"):
        convert({"state_dict": {"encoder_q.0.layer1.0.conv1.weight": torch.zeros(64, 64, 1, 3, 3)}})


def test_the_digest_is_checked_when_it_is_given(convert, make_context, local, tmp_path, theirs):
    digest = convert(theirs)["sha256"]
    assert run(config(sha256=digest), make_context(local=local))["sha256"] == digest
    with pytest.raises(UserError, match=f"its sha256 is {digest}, where the spec says 0000"):
        run(config(sha256="0" * 64), make_context(local=local))


def test_a_missing_file_says_where_to_put_it(make_context, local, tmp_path):
    with pytest.raises(UserError, match=rf"Put {FILE} into {tmp_path / 'weights'} .*nothing is downloaded"):
        run(config(), make_context(local=local))
    with pytest.raises(UserError, match=r"Write `weights: .*local.yaml and put coclr"):
        run(config(), make_context(local=Local(device="cpu")))


@pytest.mark.parametrize("prefix", ["", "module.", "encoder_q.0."])
def test_plain_files_have_our_names_below_any_prefix(convert, tmp_path, prefix):
    ours = build_encoder(NARROW, 3, seed=5).body.state_dict()
    metrics = convert(prefixed(prefix, ours) | {"fc.bias": torch.zeros(2)}, encoder=NARROW, format="plain")
    assert metrics["weights"] == {"matched": len(ours), "missing": 0, "unexpected": 1}
    encoder, card = load_encoder(tmp_path / "out")
    assert card.encoder == NARROW
    assert all(torch.equal(encoder.body.state_dict()[key], tensor) for key, tensor in ours.items())


def test_plain_files_that_do_not_fit_are_refused(convert):
    with pytest.raises(UserError, match="lacks 0.0.weight.*Choose the encoder"):
        convert({"other.weight": torch.zeros(2)}, encoder=NARROW, format="plain")
