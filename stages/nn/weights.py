"""Trained encoders as files: safetensors that say what they are, and open anywhere."""

from __future__ import annotations

from pathlib import Path
from typing import Mapping

import torch
from pydantic import ValidationError
from torch import Tensor, nn

from engine.errors import UserError
from stages.nn.encoders import VideoEncoder, build_encoder
from stages.nn.spec import Card, untrained

ENCODER = "encoder.safetensors"
HEAD = "head.safetensors"
_KEY = "vidspec"  # one key only: safetensors does not write several in a fixed order


def save_encoder(folder: Path, encoder: VideoEncoder, card: Card) -> Path:
    """Write ``encoder.safetensors``: the body's weights under their own names, and ``card`` as its metadata."""
    return _save(folder / ENCODER, encoder.body, card.model_dump_json())


def load_encoder(path: Path) -> tuple[VideoEncoder, Card]:
    """The encoder in ``path`` (a stage's output folder, or the file itself), on the CPU in eval mode, and its card.

    Raises UserError when there is none, or when it was not made by a training of this project.
    """
    file = path / ENCODER if path.is_dir() else path
    tensors, text = _load(file)
    try:
        card = Card.model_validate_json(text or "")
    except ValidationError:
        raise UserError(f"{file} does not say what encoder it holds: it was not saved by a training stage") from None
    # The weights all come from the file, so neither seed nor pretrained weights matter here.
    encoder = build_encoder(untrained(card.encoder), card.view.channels, seed=0)
    _fill(encoder.body, tensors, file)
    return encoder.eval(), card


def save_head(folder: Path, head: nn.Module) -> Path:
    """Write ``head.safetensors``: what a later training needs to go on from this one, and evaluations leave aside."""
    return _save(folder / HEAD, head, "{}")


def load_head(folder: Path, head: nn.Module) -> bool:
    """Fill ``head`` from ``folder`` when a head of that shape is there; returns whether it was."""
    if not (folder / HEAD).exists():
        return False
    tensors, _ = _load(folder / HEAD)
    wanted = head.state_dict()
    if {k: v.shape for k, v in tensors.items()} != {k: v.shape for k, v in wanted.items()}:
        return False
    head.load_state_dict(tensors)
    return True


def _save(path: Path, module: nn.Module, text: str) -> Path:
    from safetensors.torch import save_file

    # contiguous: convolutions may lie channels-last, and files hold plain rows.
    tensors = {name: t.detach().cpu().contiguous() for name, t in module.state_dict().items()}
    path.parent.mkdir(parents=True, exist_ok=True)
    save_file(tensors, path, metadata={_KEY: text})
    return path


def _load(path: Path) -> tuple[dict[str, Tensor], str | None]:
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="pt") as file:
            return {name: file.get_tensor(name) for name in file.keys()}, (file.metadata() or {}).get(_KEY)
    except FileNotFoundError:
        raise UserError(f"{path}: no such file") from None
    except (SafetensorError, OSError) as error:
        raise UserError(f"{path} cannot be read: {error}") from None


def _fill(module: nn.Module, tensors: Mapping[str, Tensor], path: Path) -> None:
    wanted = module.state_dict()
    wrong = sorted(
        {k for k in wanted if k not in tensors or tensors[k].shape != wanted[k].shape} | (tensors.keys() - wanted.keys())
    )
    if wrong:
        raise UserError(f"{path} does not hold the weights of the encoder that it names; wrong: {', '.join(wrong[:6])}")
    with torch.no_grad():
        module.load_state_dict(dict(tensors))
