"""Annotations of untrimmed videos, written beside the listing by ``annotations`` and ``untrimmed``."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from stages.tal.durations import DurationSource

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from stages.tal.segments import Segments

BACKGROUND = "background"
"""A video's own label where nothing is annotated; comes after the classes in a listing."""


@dataclass(frozen=True)
class Instance:
    """Something that happens from ``start`` to ``end`` [s]. label: position in the class names."""

    start: float
    end: float
    label: int


@dataclass(frozen=True)
class Annotations:
    """Videos are named by their paths in the listing; all three mappings have all of them.

    classes: names by number, without the background. instances: of each video, by start. durations: seconds, in the
    clock of the instances; duration_sources: where each duration comes from. Instances may be without length, double,
    or reach beyond the video, where the data set's ``policy`` keeps such ones.
    """

    classes: tuple[str, ...]
    instances: Mapping[str, tuple[Instance, ...]]
    durations: Mapping[str, float]
    duration_sources: Mapping[str, DurationSource]

    def segments(self, videos: Sequence[str]) -> Segments:
        """Ground truth of ``videos``: a row an instance, ``video`` numbering ``videos``, score 1."""
        from stages.tal.segments import Segments

        return Segments.of(
            (number, instance.start, instance.end, instance.label, 1.0)
            for number, video in enumerate(videos)
            for instance in self.instances[video]
        )

    def fractions(self, video: str) -> NDArray[np.float64]:
        """Starts and ends of a video's instances as fractions of it, [n, 2], in [0, 1]: what label maps are made of."""
        import numpy as np

        times = [(instance.start, instance.end) for instance in self.instances[video]]
        return np.clip(np.array(times, np.float64).reshape(-1, 2) / self.durations[video], 0, 1)

    def write(self, folder: Path) -> None:
        """Write ``annotations.json``: a line a video, sorted, numbers such that reading gives the same bits."""
        lines = []
        for video in sorted(self.instances):
            entry = {
                "duration": self.durations[video],
                "duration_from": self.duration_sources[video],
                "instances": [[i.start, i.end, i.label] for i in self.instances[video]],
            }
            lines.append(f"{json.dumps(video, ensure_ascii=False)}: {json.dumps(entry)}")
        with open(folder / "annotations.json", "w", encoding="utf-8", newline="\n") as file:
            file.write(f'{{"classes": {json.dumps(self.classes, ensure_ascii=False)},\n"videos": {{\n')
            file.write(",\n".join(lines) + "\n}}\n")

    @staticmethod
    def open(folder: Path) -> Annotations:
        """Read what ``write`` wrote."""
        content = json.loads((folder / "annotations.json").read_text(encoding="utf-8"))
        videos = content["videos"]
        return Annotations(
            classes=tuple(content["classes"]),
            instances={name: tuple(Instance(*row) for row in entry["instances"]) for name, entry in videos.items()},
            durations={name: entry["duration"] for name, entry in videos.items()},
            duration_sources={name: entry["duration_from"] for name, entry in videos.items()},
        )


def main_label(instances: Iterable[Instance], duration: float, classes: Sequence[str]) -> str:
    """The class with most annotated time inside the video, the first of equal ones; BACKGROUND without instances."""
    times: dict[int, float] = {}
    for instance in instances:
        inside = max(min(instance.end, duration) - max(instance.start, 0.0), 0.0)
        times[instance.label] = times.get(instance.label, 0.0) + inside
    return classes[min(times, key=lambda label: (-times[label], label))] if times else BACKGROUND


def listing_classes(classes: Sequence[str], labels: Iterable[str]) -> tuple[str, ...]:
    """Class names of the listing: those of the annotations, then BACKGROUND if it is a video's own label.

    So a video's target in the listing has the number of the class in the annotations.
    """
    return (*classes, BACKGROUND) if BACKGROUND in labels else tuple(classes)
