"""The random stage: an untrained encoder as a model."""

from __future__ import annotations

import torch

from stages.nn.spec import Narrow
from stages.nn.weights import load_encoder
from stages.random.spec import Config
from stages.random.stage import run
from stages.video.spec import Clip, Rgb

CONFIG = Config(view_name="rgb", view=Rgb(), clip=Clip(frames=4, size=16), encoder=Narrow(kind="narrow", width=4))


def test_an_encoder_that_depends_on_the_seed_alone(make_context, tmp_path):
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        context = make_context(out=name)
        context.seed = seed
        metrics = run(CONFIG, context)
    first, again, other = ((tmp_path / n / "encoder.safetensors").read_bytes() for n in "abc")
    assert first == again != other
    encoder, card = load_encoder(tmp_path / "a")
    assert metrics == {"parameters": sum(p.numel() for p in encoder.parameters()), "features": 32}
    assert card.view == Rgb() and encoder(torch.zeros(1, 3, 4, 16, 16)).shape == (1, 32)
