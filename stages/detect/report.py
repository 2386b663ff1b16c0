"""How detections are reported: metrics of each seed, result files, a table of classes, and pictures."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from engine.run.context import Context
from stages.tal.detection_map import DetectionMAP
from stages.tal.pictures import precision_recall, timelines
from stages.tal.results_json import write_results
from stages.tal.segments import Segments


@dataclass(frozen=True)
class Judged:
    """Detections of one seed with the classes of one source, and how good they are."""

    detections: Segments
    result: DetectionMAP


def seed_metrics(judged: Mapping[str, Judged], headline: str) -> dict[str, float]:
    """``map`` and single thresholds of the source ``headline``, and ``map_<source>`` of all."""
    own = judged[headline].result.metrics()
    means = {f"map_{source}": one.result.average_map for source, one in judged.items()}
    return {"map": own.pop("average_map"), **own, **means}


def write_report(
    judged: Mapping[int, Mapping[str, Judged]],
    headline: str,
    truth: Segments,
    videos: Sequence[str],
    durations: NDArray[np.float64],
    classes: Sequence[str],
    context: Context,
) -> None:
    """Write ``<source>.s<seed>.json``, ``per_class.csv`` and two pictures, those of the first seed.

    judged: seed -> source -> result. What was made with the true classes is no result, and gets no file.
    """
    for seed, sources in judged.items():
        for source in sources.keys() - {"oracle"}:
            extra = "class scores of whole videos from a file" if source == "external" else ""
            write_results(
                context.out / f"{source}.s{seed}.json", sources[source].detections, videos, classes, extra
            )
    write_classes(
        context.out / "per_class.csv", {seed: one[headline].result for seed, one in judged.items()}, classes
    )
    first = next(iter(judged.values()))[headline]
    context.picture("timelines", timelines(truth, first.detections, videos, durations, classes))
    context.picture("precision_recall", precision_recall(first.result, classes))


def write_classes(path: Path, results: Mapping[int, DetectionMAP], classes: Sequence[str]) -> None:
    """A row for each seed and class, see ``DetectionMAP.per_class``."""
    rows = [{"seed": seed, **row} for seed, result in results.items() for row in result.per_class(classes)]
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
