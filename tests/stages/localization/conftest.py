"""A tiny annotated data set of features: every class raises its own channel while it happens."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from engine.run.checkpoint import Checkpoints
from engine.run.context import Context
from engine.run.local import Local
from engine.track.record import Record
from stages.snippets.index import Origin, Shelf, SnippetIndex, SnippetVideo
from stages.snippets.shards import shelf_folder, write_shard
from stages.tal.annotations import BACKGROUND, Annotations, Instance, listing_classes, main_label
from stages.video.listing import Listing, Video, write_listing

LENGTH = 8
"""Snippets of a video, each of one second."""
WIDTH = 8
CLASSES = ("dive", "jump", "spin")


@dataclass
class Set:
    """annotations, snippets: folders as the stages write them; store: the folder of the bulk store."""

    annotations: Path
    snippets: Path
    store: Path
    index: SnippetIndex

    def context(
        self,
        tmp_path: Path,
        name: str,
        seed: int = 0,
        checkpoints: Checkpoints | None = None,
        workers: int = 0,
        **inputs,
    ) -> Context:
        """A context of a stage that reads this set."""
        out = tmp_path / name
        out.mkdir(exist_ok=True)
        return Context(
            name="demo.x",
            seed=seed,
            inputs={"annotations": self.annotations, "snippets": self.snippets, **inputs},
            out=out,
            local=Local(device="cpu", workers=workers, store=str(self.store)),
            record=Record(None),
            checkpoints=checkpoints or Checkpoints(None),
        )


def instances(number: int) -> tuple[Instance, ...]:
    """One or two instances of one class, on whole seconds."""
    rng = np.random.default_rng(number)
    label = number % len(CLASSES)
    if number % 2:
        start = int(rng.integers(0, 5))
        return (Instance(start, start + int(rng.integers(2, 4)), label),)
    return (Instance(0, 2, label), Instance(4, 4 + int(rng.integers(2, 4)), label))


def features(found: tuple[Instance, ...], seed: int) -> np.ndarray:
    """[LENGTH, WIDTH]: noise, 1 added to the channel of what happens."""
    rng = np.random.default_rng(seed)
    values = 0.1 * rng.standard_normal((LENGTH, WIDTH))
    for instance in found:
        values[int(instance.start) : int(instance.end), instance.label] += 1
    return values.astype(np.float32)


@pytest.fixture
def make_set(tmp_path: Path) -> Callable[..., Set]:
    """Make a set. empty: numbers of videos in which nothing happens; absent: numbers of those without features."""

    def make(train: int = 12, test: int = 6, empty=(), absent=(), seeds=(0,), name: str = "set") -> Set:
        folder = tmp_path / name
        annotated, snippets, store = folder / "annotations", folder / "snippets", tmp_path / "store"
        for each in (annotated, snippets):
            each.mkdir(parents=True)
        happens = {f"v{n:02d}.mp4": () if n in empty else instances(n) for n in range(train + test)}
        annotations = Annotations(
            CLASSES, happens, dict.fromkeys(happens, float(LENGTH)), dict.fromkeys(happens, "annotation")
        )
        annotations.write(annotated)
        labels = {path: main_label(found, LENGTH, CLASSES) for path, found in happens.items()}
        splits = {path: "train" if n < train else "test" for n, path in enumerate(happens)}
        listed = tuple(Video(path, labels[path], splits[path], "", 1, path) for path in happens)
        write_listing(
            annotated, Listing(listed, listing_classes(CLASSES, {BACKGROUND} & set(labels.values())))
        )
        there = [path for n, path in enumerate(happens) if n not in absent]
        for seed in seeds:
            made = {path: features(happens[path], 100 * seed + n) for n, path in enumerate(there)}
            write_shard(shelf_folder(store, f"{name}{seed}"), made)
        videos = tuple(
            SnippetVideo(path, splits[path], "", labels[path], path, 80, 10.0, float(LENGTH), "annotation")
            for path in there
        )
        shelves = {str(seed): Shelf(key=f"{name}{seed}", weights="") for seed in seeds}
        index = SnippetIndex(videos, Origin(snippets=LENGTH, width=WIDTH, shelves=shelves))
        index.write(snippets)
        return Set(annotated, snippets, store, index)

    return make
