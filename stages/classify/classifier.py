"""Video classifiers: an encoder with a linear layer, and how they are kept in files."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor, nn

from engine.errors import UserError
from stages.nn.encoders import VideoEncoder
from stages.nn.spec import Card
from stages.nn.weights import load_encoder, load_head, save_encoder, save_head
from stages.video.listing import read_classes, write_classes


class Classifier(nn.Module):
    """Encoder, dropout and a linear layer: clips [N, C, T, H, W] -> logits, float32 [N, classes].

    Features are not normalised between (CoCLR's code). seed: of the linear layer's initial weights; the global
    generator is left as it was.
    """

    def __init__(self, encoder: VideoEncoder, classes: int, dropout: float, seed: int) -> None:
        super().__init__()
        self.encoder = encoder
        self.dropout = nn.Dropout(dropout)
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(seed)
            self.linear = nn.Linear(encoder.features, classes)

    def forward(self, clips: Tensor) -> Tensor:
        return self.linear(self.dropout(self.encoder(clips))).float()


def save_classifier(folder: Path, classifier: Classifier, card: Card, classes: Sequence[str]) -> None:
    """Write the encoder, which opens by itself like that of any training, ``head.safetensors`` (the linear layer) and
    ``classes.json``, whose order is that of the logits."""
    save_encoder(folder, classifier.encoder, card)
    save_head(folder, classifier.linear)
    write_classes(folder, classes)


def load_classifier(folder: Path) -> tuple[Classifier, Card, tuple[str, ...]]:
    """The classifier in a stage's output folder, on the CPU in eval mode; its encoder's card; its classes.

    Raises UserError when there is none.
    """
    encoder, card = load_encoder(folder)
    classes = read_classes(folder) if (folder / "classes.json").exists() else ()
    classifier = Classifier(encoder, len(classes), dropout=0.0, seed=0) if classes else None
    if classifier is None or not load_head(folder, classifier.linear):
        raise UserError(
            f"{folder} holds an encoder, but no classifier for it: it was not made by a finetuning"
        )
    return classifier.eval(), card, classes
