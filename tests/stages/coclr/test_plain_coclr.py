"""The benchmark's plain half-cycle agrees with ours on clips, positives and loss; the stopwatch misses no time."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image
from torch.nn import functional as F

from benchmarks.coclr_laps import PARTS, run_with_laps
from benchmarks.packed_clips import pack
from benchmarks.plain_coclr import (
    PlainInTurns,
    PlainPairs,
    PlainTraining,
    Recipe,
    augmented,
    plain_loss,
    window,
)
from engine.run.local import Local
from stages.coclr.mining import mine
from stages.coclr.positives import positive_columns
from stages.coclr.spec import Config, HalfCycle, Keep
from stages.nn.losses import contrastive_logits, contrastive_loss
from stages.nn.spec import Narrow
from stages.video.augment import STRONG, draw, place
from stages.video.colour import recolour
from stages.video.flow_spec import Flow
from stages.video.loader import Epochs, Pairs
from stages.video.spec import Clip, Rgb
from stages.video.transforms import denormalise, training_clip
from stages.video.views import ViewReader

CLIP = Clip(frames=4, size=24)
NETWORK = Narrow(kind="narrow", width=4)
VIDEOS, BATCH = 8, 4


@pytest.fixture(scope="module")
def packed(tmp_path_factory):
    return pack(tmp_path_factory.mktemp("store"), "raw", VIDEOS, 9, (48, 64))


@pytest.fixture
def recipe(packed):
    return Recipe(*packed, CLIP, BATCH, NETWORK, 16, 12, 0.07, 0.9, 2, "cpu", 1)


def test_the_same_shapes_and_sources(packed):
    clips, flows = packed
    epochs = Epochs(clips.split("train"), BATCH, 0)
    rgb, flow, sources = PlainPairs(clips, flows, CLIP, epochs, 0)[1]
    assert rgb.shape == flow.shape == (BATCH, 2, 3, 4, 24, 24)
    assert torch.equal(sources, Pairs(ViewReader(Rgb(), clips), CLIP, epochs, 0)[1].sources)


def test_the_same_augmentation_of_a_clip(packed):
    """Where the first window fits: another try is made here, and the whole frame taken there."""
    frames = packed[0].read(0, np.arange(2))
    compared = 0
    for seed in range(40):
        choices = draw(STRONG, np.random.default_rng(seed))
        top, left, height, width = place(choices.crop, 48, 64)
        if window(choices.crop, 64, 48) != (left, top, width, height):
            continue
        compared += 1
        plain = torch.stack([augmented(Image.fromarray(frame), choices, 24) for frame in frames], dim=1)
        ours = recolour(training_clip(frames, choices, 24, Rgb())[None], [choices.colour])
        apart = denormalise(plain[None], Rgb()).float() / 255 - ours
        assert apart.abs().mean() < 0.02, seed
    assert compared >= 20


def test_the_same_positives_and_loss(recipe):
    plain = PlainTraining(recipe)
    generator = torch.Generator().manual_seed(0)
    queries, keys, others = (F.normalize(torch.randn(BATCH, 16, generator=generator), dim=1) for _ in range(3))
    plain.sources = torch.arange(12) // 2
    sources = torch.tensor([0, 3, 9, 5])
    logits, positives = plain.contrast(queries, keys, others, sources)
    siblings = sources[:, None] == plain.sources
    filled = torch.ones(12, dtype=torch.bool)
    mined = mine(others, plain.others.T, ~siblings, 2)
    expected, valid = positive_columns(
        mined.mask(12), siblings, filled, torch.zeros(BATCH, dtype=torch.bool), "positive", Keep(kind="keep")
    )
    assert torch.equal(positives, expected)
    ours = contrastive_logits(queries, keys, plain.keys.T, 0.07)
    torch.testing.assert_close(logits, ours)
    torch.testing.assert_close(plain_loss(logits, positives), contrastive_loss(ours, expected, valid))


def test_a_plain_step_moves_both_networks_and_turns_the_queue(recipe):
    pairs = PlainPairs(recipe.clips, recipe.flows, CLIP, Epochs(recipe.clips.split("train"), BATCH, 0), 0)
    training = PlainTraining(recipe)
    batch = pairs[0]
    training.step(*batch)
    slow, fast = ([p.detach().clone() for p in network.parameters()] for network in (training.key, training.query))
    training.step(*batch)
    for new, old, towards in zip(training.key.parameters(), slow, fast, strict=True):
        torch.testing.assert_close(new, 0.9 * old + 0.1 * towards)
    assert not torch.equal(next(training.query.parameters()), fast[0])
    training.step(*batch)
    assert training.pointer == 0
    assert torch.equal(training.sources, batch[2].repeat(3))


def test_the_stage_in_turns_with_a_plain_process(packed, recipe, tmp_path):
    config = Config(
        view_name="rgb", view=Rgb(), other_name="flow", other=Flow(kind="flow"), clip=CLIP, encoder=NETWORK,
        schedule=HalfCycle(epochs=2, batch=BATCH), dim=16, queue=12, topk=2, fill="train", precision="fp32",
    )  # fmt: skip
    turns: list[tuple[float, float]] = []
    with PlainInTurns(recipe) as plain:
        local = Local(device="cpu", workers=0)
        steps = run_with_laps(config, *packed, tmp_path, local, lambda step: turns.append(plain.step(step)))
    assert len(steps) == len(turns) == 2 * VIDEOS // BATCH
    assert all(0 < data < whole for whole, data in turns)
    trained = steps[-1]  # the first step trains nothing
    assert list(trained) == list(PARTS)
    assert all(np.isfinite(list(trained.values()))) and min(trained.values()) > 0
