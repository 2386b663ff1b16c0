"""Published features: bring features that others computed into the form of the snippets stage."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.errors import UserError
from engine.run.context import Context
from stages.published_features.readers import FeatureError, FeatureFile, feature_reader, find_features
from stages.published_features.rescale import rescaled
from stages.published_features.spec import Config, Container
from stages.snippets.index import Origin, Shelf, SnippetIndex, SnippetVideo
from stages.snippets.shards import VIDEOS, ShelfReader, places, shelf_folder, shelf_key, write_shard
from stages.tal.annotations import Annotations
from stages.video.listing import Trouble, Video, read_listing, write_problems

VERSION = 1
"""Raised when the same file would be rescaled differently by newer code."""


def run(config: Config, context: Context) -> dict[str, Any]:
    """Put rescaled features into the store; write ``snippets.parquet``, ``snippets.json`` and ``problems.csv``.

    Raises UserError when too many videos have no usable features, or features differ in width.
    """
    container, root = config.container, context.local.root(config.container.root)
    annotations = Annotations.open(context.input("annotations"))
    listed = {video.path: video for video in read_listing(context.input("annotations")).videos}
    files = find_features(root, container, listed)
    troubles = [Trouble(path, "no features") for path in sorted(listed.keys() - files.keys())]

    settings = {
        "layout": container.layout,
        "snippets": container.snippets,
        "seconds": container.seconds,
        **({"timing": list(container.timing)} if container.stride and container.timing else {}),
    }
    key = shelf_key(version=VERSION, format=container.format, **settings)
    names = {path: _name(file, annotations.durations[path]) for path, file in files.items()}
    shelved, broken = _fill(container, shelf_folder(context.store, key), files, names, annotations, context)
    troubles += broken
    write_problems(context.out, troubles)
    usable = [path for path in sorted(files) if names[path] in shelved]
    if len(troubles) > config.missing_limit * len(listed) or not usable:
        context.record.artifact(context.out / "problems.csv")
        raise UserError(
            f"{len(troubles)} of {len(listed)} annotated videos have no usable features below {root} (first: "
            f"{troubles[0].path}: {troubles[0].problem}): give the right folder and format, or raise missing_limit"
        )
    if troubles:
        context.warn(
            f"{len(troubles)} of {len(listed)} annotated videos have no usable features and are left out (problems.csv)"
        )

    width = _one_width(usable, files, names, ShelfReader(shelved))
    shelf = Shelf(key=key, weights="")
    origin = Origin(
        snippets=container.snippets,
        width=width,
        shelves={str(seed): shelf for seed in config.seeds},
        source={"published": container.root, **settings},
    )
    videos = tuple(_video(listed[path], names[path], annotations) for path in usable)
    SnippetIndex(videos, origin).write(context.out)
    return {"videos": len(videos), "missing": len(troubles), "width": width}


def _fill(
    container: Container,
    folder: Path,
    files: Mapping[str, FeatureFile],
    names: Mapping[str, str],
    annotations: Annotations,
    context: Context,
) -> tuple[dict[str, Path], list[Trouble]]:
    """Add features that are not in the store yet; returns the place of each by name, and what is wrong with others."""
    there, broken = places(folder, names.values()), []
    todo = [path for path in sorted(files) if names[path] not in there]
    waiting: dict[str, NDArray[np.float32]] = {}
    with feature_reader(container) as read:
        for number, path in enumerate(context.progress(todo, "reading features", len(todo)), 1):
            try:
                values = read(files[path])
            except FeatureError as error:
                broken.append(Trouble(path, str(error)))
            else:
                duration = annotations.durations[path]
                waiting[names[path]] = rescaled(values, container.snippets, duration, container.timing)
            if waiting and (len(waiting) == VIDEOS or number == len(todo)):
                write_shard(folder, waiting)
                waiting = {}
    return places(folder, names.values()), broken


def _one_width(
    paths: Sequence[str], files: Mapping[str, FeatureFile], names: Mapping[str, str], reader: ShelfReader
) -> int:
    """Width of all features. Raises UserError when there are several."""
    widths = {path: reader.read(names[path]).shape[1] for path in paths}
    first = paths[0]
    if odd := [path for path in paths if widths[path] != widths[first]]:
        raise UserError(
            f"{files[odd[0]].text} has features of width {widths[odd[0]]}, and {files[first].text} of width "
            f"{widths[first]}: all must have one (`layout` says which axis is which)"
        )
    return widths[first]


def _name(file: FeatureFile, duration: float) -> str:
    """Name of features in the store: they depend on the file, and on the duration if rows are timed."""
    text = "\x1f".join((file.digest, file.entry, repr(duration)))
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()


def _video(video: Video, name: str, annotations: Annotations) -> SnippetVideo:
    return SnippetVideo(
        path=video.path,
        split=video.split,
        group=video.group,
        label=video.label,
        name=name,
        frames=0,
        fps=0.0,
        duration=annotations.durations[video.path],
        duration_from=annotations.duration_sources[video.path],
    )
