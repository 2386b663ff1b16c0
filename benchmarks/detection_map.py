"""Claim: detection mAP of ActivityNet's size is 10 times as fast as the plain Python loop, and the same number.

    python benchmarks/detection_map.py [VIDEOS]      # default: 4728, the feature set that most papers evaluate on

Prints one JSON line: seconds of our mAP and of the loop after the official algorithm (the tests' oracle: dictionaries
instead of the official pandas, which takes far longer), in turns in one process on one core, of processor time, so that
it matters less what else the machine does; their ratio; the largest difference of an AP; and the seconds of our AR@AN
with 100 budgets. 100 detections a video, near its segments as a detector's are, in its own class or another; 200
classes, 7,293 segments, ten thresholds.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[name] = "1"  # before NumPy is loaded

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import numpy as np

from stages.tal.detection_map import detection_map, tiou_thresholds
from stages.tal.proposal_recall import proposal_recall
from stages.tal.segments import Segments
from tests.stages.tal.plain_evaluation import plain_detection_ap

DETECTIONS, CLASSES = 100, 200
SEGMENTS_A_VIDEO = 7293 / 4728
RUNS, PLAIN_RUNS = 5, 2


def truth_of(videos: int, rng: np.random.Generator) -> Segments:
    """Segments of the set's density; a video has one class, and each at least one segment."""
    more = rng.integers(0, videos, round(videos * (SEGMENTS_A_VIDEO - 1)))
    video = np.sort(np.concatenate([np.arange(videos), more]))
    start = rng.uniform(0, 90, len(video))
    return Segments(
        video,
        start,
        start + rng.exponential(40, len(video)) + 0.5,
        rng.integers(0, CLASSES, videos)[video],
        np.ones(len(video)),
    )


def detections_of(truth: Segments, videos: int, rng: np.random.Generator) -> Segments:
    """Half in the video's class, half in another; surer ones are nearer to a segment of the video."""
    video = np.repeat(np.arange(videos), DETECTIONS)
    first, last = np.searchsorted(truth.video, video, "left"), np.searchsorted(truth.video, video, "right")
    like = rng.integers(first, last)
    score = rng.uniform(0, 1, len(video))
    off = (truth.end - truth.start)[like] * (1 - score) * rng.normal(0, 0.6, (2, len(video)))
    ends = np.sort(np.stack([truth.start[like], truth.end[like]]) + off, axis=0)
    other = (truth.label[like] + rng.integers(1, CLASSES, videos)[video]) % CLASSES
    label = np.where(rng.random(len(video)) < 0.5, truth.label[like], other)
    return Segments(video, ends[0], ends[1], label, score)


def rows_of(segments: Segments) -> list[tuple[int, float, float, int, float]]:
    columns = (segments.video, segments.start, segments.end, segments.label, segments.score)
    return list(zip(*(column.tolist() for column in columns)))


def timed(work: Callable[[], Any], times: list[float]) -> Any:
    started = time.process_time()
    result = work()
    times.append(time.process_time() - started)
    return result


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("videos", type=int, nargs="?", default=4728)
    videos = parser.parse_args().videos
    rng = np.random.default_rng(0)
    truth = truth_of(videos, rng)
    detections = detections_of(truth, videos, rng)
    rows, truth_rows, thresholds = rows_of(detections), rows_of(truth), tiou_thresholds()

    ours: list[float] = []
    plain: list[float] = []
    recall: list[float] = []
    detection_map(truth, detections, thresholds)  # warms up
    for run in range(RUNS):
        result = timed(lambda: detection_map(truth, detections, thresholds), ours)
        timed(lambda: proposal_recall(truth, detections, thresholds), recall)
        if run < PLAIN_RUNS:
            expected = timed(lambda: plain_detection_ap(truth_rows, rows, thresholds.tolist()), plain)
    apart = np.abs(result.ap.T - np.array(list(expected.values()))).max()
    medians = {
        name: statistics.median(times)
        for name, times in (("ours", ours), ("plain", plain), ("recall", recall))
    }
    figures = {
        "videos": videos, "detections": len(detections), "segments": len(truth),
        "average_map": round(result.average_map, 6), "map_s": round(medians["ours"], 3),
        "plain_loop_s": round(medians["plain"], 3),
        "ratio": round(medians["plain"] / medians["ours"], 1), "largest_ap_difference": float(f"{apart:.1e}"),
        "proposal_recall_s": round(medians["recall"], 3),
    }  # fmt: skip
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
