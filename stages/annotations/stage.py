"""List untrimmed videos and what is annotated in them; find out what is wrong with both before anything is trained."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from engine.errors import UserError
from engine.run.context import Context
from stages.annotations.activitynet import read_activitynet
from stages.annotations.blocked import without_blocked
from stages.annotations.doctor import Doctor
from stages.annotations.raw import Read, without_labels
from stages.annotations.spec import ActivityNetLayout, Config
from stages.annotations.survey import Usable, survey
from stages.annotations.thumos14 import CLASSES, read_thumos14
from stages.listing import judge
from stages.listing.files import read_classes_file
from stages.tal.annotations import BACKGROUND, Annotations, Instance, listing_classes, main_label
from stages.video.listing import SPLITS, Listing, Video, write_listing, write_problems


def run(config: Config, context: Context) -> dict[str, Any]:
    """Write ``annotations.json``, ``listing.parquet``, ``classes.json`` and ``problems.csv``."""
    root, layout = context.local.root(config.dataset), config.layout
    classes = _class_list(root, config)
    read = _read(root, config, classes)
    without_labels(read, layout.ignored_labels)
    without_blocked(read, root, layout.blocked, layout.left_out)
    doctor = Doctor(layout.policy, troubles=read.troubles)
    try:
        labels = frozenset(classes) if classes is not None else read.known_labels
        videos = survey(read, root, config, labels, doctor, context)
        annotations, listing = _as_outputs(videos, classes)
        leaks, leak_warnings = judge.leaks(listing.videos, layout)
    except UserError:
        write_problems(context.out, doctor.troubles)
        context.record.artifact(context.out / "problems.csv")
        raise
    if not videos:
        raise UserError(
            f"data set {config.dataset!r}: none of {len(read.videos)} annotated videos can be used. "
            f"Is {root} the right root?"
        )
    for note in read.notes:
        context.say(note)
    for warning in (*doctor.summary(), *leak_warnings, *_classes_without(annotations, listing)):
        context.warn(warning)
    troubles = [*doctor.troubles, *leaks]
    write_listing(context.out, listing, troubles)
    annotations.write(context.out)
    metrics = _counts(annotations, listing)
    context.say(f"{config.dataset}: {', '.join(f'{n} {what}' for what, n in metrics.items() if n).replace('_', ' ')}")
    found = {f"found_{kind}": count for kind, count in sorted(doctor.counts.items())}
    return {**metrics, "problems": len(set(troubles)), "bytes": sum(v.size for v in videos), **found}


def _class_list(root: Path, config: Config) -> tuple[str, ...] | None:
    """Class names in order, where they are known before the annotations are read."""
    classes = read_classes_file(root, config.layout.classes) if config.layout.classes else None
    if classes is None and not isinstance(config.layout, ActivityNetLayout):
        classes = CLASSES
    return classes


def _read(root: Path, config: Config, classes: tuple[str, ...] | None) -> Read:
    layout = config.layout
    if isinstance(layout, ActivityNetLayout):
        return read_activitynet(root, layout.file, layout.subsets)
    return read_thumos14(root, layout, classes or CLASSES)


def _as_outputs(videos: Sequence[Usable], classes: tuple[str, ...] | None) -> tuple[Annotations, Listing]:
    """classes: in order; None: those that occur, sorted. Raises UserError when one is called like the background."""
    names = classes or tuple(sorted({segment.label for video in videos for segment in video.segments}))
    if BACKGROUND in names:
        raise UserError(
            f"label {BACKGROUND!r} is no class but what lies between segments: set `ignored_labels: [{BACKGROUND}]` "
            "in the spec's data, and take it out of the file of classes if there is one"
        )
    numbers = {name: number for number, name in enumerate(names)}
    annotations = Annotations(
        classes=names,
        instances={v.path: tuple(Instance(s.start, s.end, numbers[s.label]) for s in v.segments) for v in videos},
        durations={v.path: v.duration for v in videos},
        duration_sources={v.path: v.source for v in videos},
    )
    listed = tuple(
        Video(v.path, main_label(annotations.instances[v.path], v.duration, names), v.split, "", v.size, v.digest)
        for v in videos
    )
    return annotations, Listing(listed, listing_classes(names, {v.label for v in listed}))


def _classes_without(annotations: Annotations, listing: Listing) -> Iterator[str]:
    """Warnings about classes without an instance in a split that has videos."""
    for split in sorted({video.split for video in listing.videos}):
        seen = {i.label for v in listing.videos if v.split == split for i in annotations.instances[v.path]}
        empty = [name for number, name in enumerate(annotations.classes) if number not in seen]
        if empty:
            first = ", ".join(empty[:5]) + (" …" if len(empty) > 5 else "")
            yield f"{len(empty)} of {len(annotations.classes)} classes have no segment in {split}: {first}"


def _counts(annotations: Annotations, listing: Listing) -> dict[str, Any]:
    counts: dict[str, Any] = {"videos": len(listing.videos), "classes": len(annotations.classes)}
    for split in SPLITS:
        paths = [video.path for video in listing.videos if video.split == split]
        counts[f"{split}_videos"] = len(paths)
        counts[f"{split}_segments"] = sum(len(annotations.instances[path]) for path in paths)
    return counts
