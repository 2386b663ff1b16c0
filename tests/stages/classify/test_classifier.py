"""Classifiers in files, and what they compute."""

from __future__ import annotations

import pytest
import torch

from engine.errors import UserError
from stages.classify.classifier import Classifier, load_classifier, save_classifier
from stages.nn.encoders import build_encoder
from stages.nn.spec import Card, Narrow
from stages.nn.weights import load_encoder, save_encoder
from stages.video.spec import Clip, Rgb

SPEC = Narrow(kind="narrow", width=4)
CARD = Card(encoder=SPEC, view_name="rgb", view=Rgb(), clip=Clip(frames=2, size=16), stage="demo.x")


def classifier(dropout: float = 0.9, classes: int = 3, seed: int = 1) -> Classifier:
    return Classifier(build_encoder(SPEC, 3, seed=0), classes, dropout, seed)


def test_it_opens_as_it_was_saved_and_so_does_its_encoder(tmp_path):
    saved = classifier().eval()
    save_classifier(tmp_path, saved, CARD, ("a", "b", "c"))
    opened, card, classes = load_classifier(tmp_path)
    encoder, same_card = load_encoder(tmp_path)
    clips = torch.randn(2, 3, 2, 16, 16)
    assert torch.equal(opened(clips), saved(clips))
    assert torch.equal(encoder(clips), saved.encoder(clips))
    assert card == same_card == CARD and classes == ("a", "b", "c")
    assert not opened.training


def test_features_go_into_the_linear_layer_as_they_are():
    network = classifier().eval()
    clips = torch.randn(2, 3, 2, 16, 16)
    expected = network.encoder(clips) @ network.linear.weight.T + network.linear.bias
    assert torch.allclose(network(clips), expected, atol=1e-6)


def test_dropout_is_for_training_only():
    network = classifier(dropout=0.9)
    network.linear.weight.data.fill_(1.0)
    network.linear.bias.data.zero_()
    network.encoder = torch.nn.Identity()
    features = torch.ones(200, 32)
    assert network.eval()(features).unique().tolist() == [32.0]
    torch.manual_seed(0)
    kept = network.train()(features)[:, 0] / 10  # what is left is ten times as large
    assert 32 * 0.1 - 0.5 < kept.mean() < 32 * 0.1 + 0.5
    assert len(kept.unique()) > 3


def test_the_linear_layer_is_drawn_from_its_seed_alone():
    torch.manual_seed(5)
    before = torch.get_rng_state()
    first = classifier(seed=1).linear.weight
    assert torch.equal(torch.get_rng_state(), before)
    torch.manual_seed(6)
    assert torch.equal(classifier(seed=1).linear.weight, first)
    assert not torch.equal(classifier(seed=2).linear.weight, first)


def test_logits_are_fp32_under_autocast():
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert classifier()(torch.randn(2, 3, 2, 16, 16)).dtype == torch.float32


@pytest.mark.parametrize("missing", ["classes.json", "head.safetensors"])
def test_an_encoder_alone_is_no_classifier(tmp_path, missing):
    save_classifier(tmp_path, classifier(), CARD, ("a", "b", "c"))
    (tmp_path / missing).unlink()
    with pytest.raises(UserError, match="no classifier"):
        load_classifier(tmp_path)


def test_a_pretraining_is_no_classifier(tmp_path):
    save_encoder(tmp_path, build_encoder(SPEC, 3, seed=0), CARD)
    with pytest.raises(UserError, match="not made by a finetuning"):
        load_classifier(tmp_path)
