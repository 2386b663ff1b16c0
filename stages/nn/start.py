"""Networks as a training stage starts with them."""

from __future__ import annotations

from pathlib import Path

from engine.errors import UserError
from engine.run.context import Context
from stages.nn.encoders import VideoEncoder, build_encoder
from stages.nn.head import Embedder, Projection
from stages.nn.spec import Encoder
from stages.nn.weights import load_encoder, load_head


def new_encoder(spec: Encoder, channels: int, context: Context) -> VideoEncoder:
    """A new encoder, its weights drawn from the stage's seed or read from the machine's folder of pretrained ones."""
    folder = Path(context.local.weights).expanduser() if context.local.weights else None
    return build_encoder(spec, channels, context.seed_for("init", "encoder"), folder)


def new_embedder(spec: Encoder, channels: int, dim: int, context: Context, init: Path | None = None) -> Embedder:
    """Encoder and head, from ``init`` (the output folder of another training) if given.

    The head goes on from there too when that training had one of the same shape.
    """
    if init is None:
        encoder = new_encoder(spec, channels, context)
    else:
        encoder, card = load_encoder(init)
        if card.view.channels != channels:
            raise UserError(f"{init}: its encoder takes {card.view.channels} channels, not {channels}")
        encoder.train()
    head = Projection(encoder.features, dim, context.seed_for("init", "head"))
    if init is not None:
        load_head(init, head)
    return Embedder(encoder, head)
