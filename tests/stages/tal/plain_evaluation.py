"""Random segments, and oracles: both measures of localisation, loop by loop after the official description."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

import numpy as np

Row = tuple[int, float, float, int, float]
"""(video, start, end, label, score)"""


def plain_tiou(a: tuple[float, float], b: tuple[float, float]) -> float:
    shared = min(a[1], b[1]) - max(a[0], b[0])
    if shared <= 0:
        return 0.0
    return shared / ((a[1] - a[0]) + (b[1] - b[0]) - shared)


def plain_detection_ap(
    truth: Sequence[Row], detections: Sequence[Row], thresholds: Sequence[float]
) -> dict[int, list[float]]:
    """Average precision of each class of the ground truth at each threshold."""
    by_class: dict[int, list[Row]] = defaultdict(list)
    for row in sorted(detections, key=lambda row: (-row[4], row[0], row[1], row[2])):
        by_class[row[3]].append(row)
    segments: dict[int, dict[int, list[tuple[float, float]]]] = defaultdict(lambda: defaultdict(list))
    for video, start, end, label, _ in sorted(truth):
        segments[label][video].append((start, end))
    return {label: _class_ap(segments[label], by_class[label], thresholds) for label in sorted(segments)}


def _class_ap(
    segments: dict[int, list[tuple[float, float]]], ranked: Sequence[Row], thresholds: Sequence[float]
) -> list[float]:
    positives = sum(len(own) for own in segments.values())
    taken: list[set[tuple[int, int]]] = [set() for _ in thresholds]
    right: list[list[bool]] = [[] for _ in thresholds]
    for video, start, end, _, _ in ranked:
        overlaps = [plain_tiou((start, end), own) for own in segments[video]] if video in segments else []
        nearest = sorted(range(len(overlaps)), key=lambda i: -overlaps[i])
        for level, threshold in enumerate(thresholds):
            hit = False
            for i in nearest:
                if overlaps[i] < threshold:
                    break
                if (video, i) not in taken[level]:
                    taken[level].add((video, i))
                    hit = True
                    break
            right[level].append(hit)
    return [plain_area(hits, positives) for hits in right]


def plain_area(right: Sequence[bool], positives: int) -> float:
    """VOC 2011: recall and precision after each detection, ends added, precision made non-increasing, then the area."""
    recall, precision, count = [0.0], [0.0], 0
    for number, hit in enumerate(right, 1):
        count += hit
        recall.append(count / positives)
        precision.append(count / number)
    recall.append(1.0)
    precision.append(0.0)
    for i in range(len(precision) - 2, -1, -1):
        precision[i] = max(precision[i], precision[i + 1])
    return sum((recall[i] - recall[i - 1]) * precision[i] for i in range(1, len(recall)))


def plain_proposal_recall(
    truth: Sequence[Row], proposals: Sequence[Row], thresholds: Sequence[float], most: float, steps: int
) -> list[list[float]]:
    """Recall for each threshold and budget."""
    segments: dict[int, list[tuple[float, float]]] = defaultdict(list)
    for video, start, end, _, _ in truth:
        segments[video].append((start, end))
    retrieved: dict[int, list[tuple[float, float]]] = defaultdict(list)
    for video, start, end, _, _ in sorted(proposals, key=lambda row: (-row[4], row[1], row[2])):
        if video in segments:
            retrieved[video].append((start, end))
    if not proposals:
        return [[0.0] * steps for _ in thresholds]
    ratio = most * float(len(segments)) / len(proposals)
    for video, own in retrieved.items():
        retrieved[video] = own[: int(len(own) * ratio)]
    left = sum(len(own) for own in retrieved.values())
    if not left:
        return [[0.0] * steps for _ in thresholds]
    recall = []
    for threshold in thresholds:
        row = []
        for step in range(1, steps + 1):
            share = step / float(steps) * (most * float(len(segments)) / left)
            found = 0
            for video, own in segments.items():
                kept = retrieved[video][: int(len(retrieved[video]) * share)]
                found += sum(any(plain_tiou(one, other) >= threshold for other in kept) for one in own)
            row.append(found / len(truth))
        recall.append(row)
    return recall


def drawn(rng: np.random.Generator, number: int, grid: float, videos: int = 6) -> list[Row]:
    """Random segments; times and scores on a grid."""
    start, length = rng.integers(0, 20 / grid, number) * grid, rng.integers(0, 10 / grid, number) * grid
    columns = (
        rng.integers(0, videos, number),
        start,
        start + length,
        rng.integers(0, 4, number),
        rng.integers(0, 100 / grid, number) / 400,
    )
    return list(zip(*(column.tolist() for column in columns)))
