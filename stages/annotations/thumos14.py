"""THUMOS14's annotations: which of the forms that go round lies there, and its classes."""

from __future__ import annotations

import csv
import io
from pathlib import Path

from engine.errors import UserError
from stages.annotations.activitynet import read_activitynet
from stages.annotations.raw import Read
from stages.annotations.spec import Thumos14Layout
from stages.annotations.thumos_csv import read_frames_table, read_index_table
from stages.annotations.thumos_text import read_texts
from stages.listing.files import read_text, where

CLASSES = (
    "BaseballPitch", "BasketballDunk", "Billiards", "CleanAndJerk", "CliffDiving", "CricketBowling", "CricketShot",
    "Diving", "FrisbeeCatch", "GolfSwing", "HammerThrow", "HighJump", "JavelinThrow", "LongJump", "PoleVault",
    "Shotput", "SoccerPenalty", "TennisSwing", "ThrowDiscus", "VolleyballSpiking",
)  # fmt: skip

_SUBSETS = {
    "train": {"train": "train", "training": "train", "val": "train", "validation": "train"},
    "test": {"test": "test", "testing": "test"},
}


def read_thumos14(root: Path, layout: Thumos14Layout, classes: tuple[str, ...]) -> Read:
    """Training and test videos. classes: names that ``label-idx`` numbers."""
    if not (layout.train or layout.test):
        raise UserError("data kind thumos14: set `train`, `test` or both to the annotations, relative to the root")
    whole = Read()
    for split, file in (("train", layout.train), ("test", layout.test)):
        if file:
            read = _read(root, file, split, classes)
            for name in ("videos", "errors", "troubles"):
                getattr(whole, name).extend(getattr(read, name))
            whole.subsets[split] = len(read.videos)
    return whole


def _read(root: Path, file: str, split: str, classes: tuple[str, ...]) -> Read:
    path = root / file
    if path.is_dir():
        return read_texts(root, path, split)
    if path.suffix.lower() == ".json":
        return read_activitynet(root, file, _SUBSETS[split])
    table = csv.DictReader(io.StringIO(read_text(path), newline=""), skipinitialspace=True)
    table.fieldnames = [name.strip() for name in table.fieldnames or []]
    for reader, columns in ((read_frames_table, ("video", "type", "start", "end")),
                            (read_index_table, ("video-name", "t-init", "t-end", "label-idx"))):  # fmt: skip
        if set(columns) <= set(table.fieldnames):
            return reader(table, split, where(root, path), classes)
    raise UserError(
        f"{path}:1: the columns are {', '.join(table.fieldnames)}; expected video, type, start, end or "
        "video-name, t-init, t-end, label-idx"
    )
