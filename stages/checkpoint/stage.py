"""The checkpoint stage: turn foreign weights into an encoder like those that are trained here."""

from __future__ import annotations

import json

from engine.run.context import Context
from stages.checkpoint.file import checked_digest, weights_file
from stages.checkpoint.reading import Reading, read_coclr, read_plain, read_slowfast
from stages.checkpoint.spec import Config
from stages.nn.encoders import build_encoder
from stages.nn.foreign import some
from stages.nn.spec import Card
from stages.nn.weights import save_encoder, save_head


def run(config: Config, context: Context) -> dict:
    """Write the encoder, its head if there is one, and ``match.json``; return what was read."""
    path = weights_file(config.file, context.local)
    digest = checked_digest(path, config.sha256)
    encoder = build_encoder(config.encoder, config.view.channels, seed=0)  # every weight comes from the file
    read = {"coclr": read_coclr, "slowfast": read_slowfast, "plain": read_plain}[config.format]
    reading = read(path, encoder)
    context.say(_words(reading, config.file))
    if reading.unexpected:
        context.warn(f"{config.file} also holds what is not used: {some(reading.unexpected)}")
    if not config.sha256:
        context.say(f"to pin this file, add to the model: sha256: {digest}")

    card = Card(
        encoder=config.encoder, view_name=config.view_name, view=config.view, clip=config.clip, stage=context.name
    )
    save_encoder(context.out, encoder, card)
    if reading.head:
        save_head(context.out, reading.head)
    _write_match(reading, config, digest, context)
    return {
        "parameters": sum(p.numel() for p in encoder.parameters()),
        "features": encoder.features,
        "head": reading.head is not None,
        "weights": {
            "matched": len(reading.matched),
            "missing": len(reading.missing),
            "unexpected": len(reading.unexpected),
        },
        "sha256": digest,
    }


def _words(reading: Reading, file: str) -> str:
    aside = ", ".join(f"{count} of the {what}" for what, count in reading.aside.items())
    return (
        f"{file}: {len(reading.matched)} weights matched below prefix {reading.prefix!r}, {len(reading.missing)} "
        f"missing, {len(reading.unexpected)} unexpected; known besides: {aside or 'nothing'}; "
        f"the head is {'kept too' if reading.head else 'not among them'}"
    )


def _write_match(reading: Reading, config: Config, digest: str, context: Context) -> None:
    content = {
        "file": config.file,
        "format": config.format,
        "sha256": digest,
        "prefix": reading.prefix,
        "matched": reading.matched,
        "missing": reading.missing,
        "known besides": reading.aside,
        "unexpected": reading.unexpected,
    }
    text = json.dumps(content, indent=1, ensure_ascii=False) + "\n"
    (context.out / "match.json").write_text(text, encoding="utf-8")
