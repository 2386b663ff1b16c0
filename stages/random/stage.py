"""The random stage: build an encoder and save it."""

from __future__ import annotations

from engine.run.context import Context
from stages.nn.start import new_encoder
from stages.nn.spec import Card
from stages.nn.weights import save_encoder
from stages.random.spec import Config


def run(config: Config, context: Context) -> dict:
    """Write a new encoder; returns its size."""
    encoder = new_encoder(config.encoder, config.view.channels, context)
    card = Card(
        encoder=config.encoder, view_name=config.view_name, view=config.view, clip=config.clip, stage=context.name
    )
    save_encoder(context.out, encoder, card)
    return {"parameters": sum(p.numel() for p in encoder.parameters()), "features": encoder.features}
