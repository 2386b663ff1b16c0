"""Checkpoints of others: prefixes, reports, and no half-loaded networks."""

from __future__ import annotations

import hashlib

import pytest
import torch
from safetensors.torch import save_file

from engine.errors import UserError
from stages.nn.encoders import build_encoder
from stages.nn.foreign import load_foreign, torchvision_file
from stages.nn.spec import Narrow, Torchvision

SPEC = Narrow(kind="narrow", width=4)


def weights(seed: int = 1) -> dict[str, torch.Tensor]:
    return dict(build_encoder(SPEC, 3, seed).body.state_dict())


def prefixed(state: dict[str, torch.Tensor], prefix: str) -> dict[str, torch.Tensor]:
    return {prefix + key: tensor for key, tensor in state.items()}


@pytest.fixture
def network():
    return build_encoder(SPEC, 3, seed=0).body


def saved(tmp_path, content):
    torch.save(content, tmp_path / "theirs.pth")
    return tmp_path / "theirs.pth"


@pytest.mark.parametrize("prefix", ["", "module.", "module.encoder_q.0.", "backbone."])
@pytest.mark.parametrize("nested", [False, True])
def test_any_prefix_is_found(tmp_path, network, prefix, nested):
    content = prefixed(weights(), prefix)
    content = {"epoch": 3, "state_dict": content, "optimizer": {"lr": 0.1}} if nested else content
    match = load_foreign(saved(tmp_path, content), network)
    assert match.prefix == ("state_dict." if nested else "") + prefix
    assert (match.missing, match.misshapen, match.unexpected) == ((), (), ())
    assert set(match.matched) == set(network.state_dict())
    assert all(torch.equal(network.state_dict()[k], v) for k, v in weights().items())


def test_the_query_encoder_is_taken_from_a_momentum_checkpoint(tmp_path, network):
    query, key = weights(1), weights(2)
    content = prefixed(query, "encoder_q.0.") | prefixed(key, "encoder_k.0.") | {"queue": torch.zeros(3, 5)}
    match = load_foreign(saved(tmp_path, content), network)
    assert torch.equal(network.state_dict()["0.0.weight"], query["0.0.weight"])
    assert "queue" in match.unexpected and "encoder_k.0.0.0.weight" in match.unexpected


def test_two_networks_alike_are_not_guessed_between(tmp_path, network):
    with pytest.raises(UserError, match="equally well under student., teacher."):
        load_foreign(saved(tmp_path, prefixed(weights(1), "student.") | prefixed(weights(2), "teacher.")), network)


def test_a_missing_weight_is_named_and_nothing_is_loaded(tmp_path, network):
    content = weights()
    del content["2.0.0.weight"]
    content["fc.weight"] = torch.zeros(2)
    before = {k: v.clone() for k, v in network.state_dict().items()}
    path = saved(tmp_path, content)
    with pytest.raises(UserError, match=r"lacks 2.0.0.weight .*also has fc.weight"):
        load_foreign(path, network)
    assert all(torch.equal(before[k], v) for k, v in network.state_dict().items())
    match = load_foreign(path, network, allow_missing=["2.0.0.weight"])
    assert match.missing == ("2.0.0.weight",) and match.unexpected == ("fc.weight",)


def test_another_shape_is_named(tmp_path, network):
    content = weights() | {"0.0.weight": torch.zeros(4, 1, 1, 5, 5)}
    with pytest.raises(UserError, match="another shape for 0.0.weight"):
        load_foreign(saved(tmp_path, content), network)


def test_counters_of_batches_may_be_absent(tmp_path, network):
    content = {k: v for k, v in weights().items() if not k.endswith("num_batches_tracked")}
    assert load_foreign(saved(tmp_path, content), network).missing == ()


def test_safetensors_too(tmp_path, network):
    save_file(prefixed(weights(), "module."), tmp_path / "theirs.safetensors")
    assert load_foreign(tmp_path / "theirs.safetensors", network).prefix == "module."


class Evil:
    def __reduce__(self):
        return (print, ("code from the file ran",))


def test_code_in_a_file_is_not_run(tmp_path, network, capsys):
    with pytest.raises(UserError, match="would run code"):
        load_foreign(saved(tmp_path, {"state_dict": weights(), "args": Evil()}), network)
    assert "ran" not in capsys.readouterr().out


def test_unreadable_files(tmp_path, network):
    with pytest.raises(UserError, match="no such file"):
        load_foreign(tmp_path / "nothing.pt", network)
    (tmp_path / "text.pt").write_text("hello")
    with pytest.raises(UserError, match="text.pt"):
        load_foreign(tmp_path / "text.pt", network)
    with pytest.raises(UserError, match="holds no tensors"):
        load_foreign(saved(tmp_path, {"epoch": 1}), network)


def test_absent_pretrained_weights_say_where_to_put_them(tmp_path, monkeypatch):
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "cache"))
    with pytest.raises(UserError, match=r"Put https://.*r3d_18-b3b3357e.pth into .*weights"):
        build_encoder(Torchvision(kind="r3d_18", weights="KINETICS400_V1"), 3, seed=0, weights=tmp_path / "weights")


@pytest.mark.parametrize("place", ["weights", "cache/hub/checkpoints"])
def test_pretrained_weights_come_from_the_folder_or_the_cache(tmp_path, monkeypatch, place):
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "cache"))
    theirs = build_encoder(Torchvision(kind="r3d_18"), 3, seed=7).body.state_dict()
    theirs |= {"fc.weight": torch.zeros(400, 512), "fc.bias": torch.zeros(400)}
    (tmp_path / place).mkdir(parents=True)
    path = tmp_path / place / "r3d_18-b3b3357e.pth"
    torch.save(theirs, path)
    spec = Torchvision(kind="r3d_18", weights="KINETICS400_V1")
    with pytest.raises(UserError, match="damaged"):
        torchvision_file("r3d_18", "KINETICS400_V1", tmp_path / "weights")
    digest = type("Digest", (), {"hexdigest": staticmethod(lambda: "b3b3357e" + "0" * 56)})
    monkeypatch.setattr(hashlib, "file_digest", lambda file, name: digest)
    encoder = build_encoder(spec, 3, seed=0, weights=tmp_path / "weights")
    assert torch.equal(encoder.body.stem[0].weight, theirs["stem.0.weight"])
