"""Configuration of the detect stage: trained heads on the test videos, and how their detections are judged."""

from __future__ import annotations

from typing import Literal

from engine.spec.component import StageConfig, Strict
from stages.tal.head_spec import Inference


class Scoring(Strict):
    """thresholds: of tIoU. class_scores: those that ``map`` stands for."""

    thresholds: tuple[float, ...]
    class_scores: Literal["own", "external"]
    clean_truth: bool
    without_features: Literal["leave_out", "missed"]


class Config(StageConfig):
    """Inputs: ``annotations``, ``snippets``, ``heads`` with a trained head for each seed, perhaps ``class_scores``."""

    seeds: tuple[int, ...]
    inference: Inference
    parity: bool
    scoring: Scoring
