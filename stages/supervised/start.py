"""The encoder that a training goes on from."""

from __future__ import annotations

from engine.errors import UserError
from engine.run.context import Context
from stages.nn.encoders import VideoEncoder
from stages.nn.spec import Encoder
from stages.nn.start import new_encoder
from stages.nn.weights import load_encoder


def starting_encoder(spec: Encoder, channels: int, context: Context) -> VideoEncoder:
    """That of the stage's input ``init`` where there is one, else a new one; on the CPU in training mode.

    Raises UserError when it does not take clips of so many channels.
    """
    if "init" not in context.inputs:
        return new_encoder(spec, channels, context)
    folder = context.input("init")
    encoder, card = load_encoder(folder)
    if card.view.channels != channels:
        raise UserError(f"{folder}: its encoder takes {card.view.channels} channels, not {channels}")
    return encoder.train()
