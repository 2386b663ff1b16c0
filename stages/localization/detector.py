"""A trained detector as a folder: encoder, head, classifier of videos, and what they need to know of each other."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

from pydantic import Field, ValidationError

from engine.errors import UserError
from engine.spec.component import Strict
from stages.localization.video_classifier import VideoClassifier
from stages.nn.weights import ENCODER, load_head, save_head
from stages.snippets.index import Origin
from stages.tal.gtad import Gtad, build_gtad
from stages.tal.head_spec import Head

FILE = "detector.json"


class DetectorCard(Strict):
    """What a detector is. features: how those were made that it was trained on."""

    classes: tuple[str, ...]
    head: Head
    features: Origin
    stage: str = Field(description="Stage that made it.")


@dataclass(frozen=True)
class Detector:
    """head: on the CPU in eval mode. The encoder, if there is one, is opened by ``stages.nn.weights.load_encoder``."""

    card: DetectorCard
    head: Gtad
    classifier: VideoClassifier


def save_detector(folder: Path, detector: Detector, encoder: Path | None) -> None:
    """Write ``detector.json``, ``head.safetensors``, ``classifier.safetensors``; copy that folder's encoder."""
    save_head(folder, detector.head)
    detector.classifier.save(folder)
    (folder / FILE).write_text(detector.card.model_dump_json(indent=1) + "\n", encoding="utf-8")
    if encoder is not None:
        shutil.copyfile(encoder / ENCODER, folder / ENCODER)


def load_detector(folder: Path) -> Detector:
    """Open what ``save_detector`` wrote. Raises UserError when it is not there or not whole."""
    try:
        card = DetectorCard.model_validate_json((folder / FILE).read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UserError(
            f"{folder} has no {FILE}: it is not the output of a localization training, such as "
            "results/<study>/localization.<model>.s0"
        ) from None
    except ValidationError as error:
        raise UserError(
            f"{folder / FILE} is no description of a detector: {error.errors()[0]['msg']}"
        ) from None
    head = build_gtad(card.features.width, card.head, seed=0)
    if not load_head(folder, head):
        raise UserError(f"{folder} does not hold the head that {FILE} describes: train it again")
    return Detector(card, head.eval(), VideoClassifier.open(folder))
