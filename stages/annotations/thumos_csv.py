"""THUMOS14 as tables, with class names or class numbers. Their frame numbers are not used: seconds are exact."""

from __future__ import annotations

import csv
from collections.abc import Sequence

from stages.annotations.raw import RawSegment, Read, grouped, seconds

AMBIGUOUS = "Ambiguous"


def read_frames_table(table: csv.DictReader, split: str, place: str, classes: Sequence[str]) -> Read:
    """Columns video, type, start, end (``val_Annotation.csv``); others are ignored."""
    read, rows = Read(), []
    for row in table:
        name, label = (row["video"] or "").strip(), (row["type"] or "").strip()
        start, end = seconds(row["start"]), seconds(row["end"])
        if not name or not label or start is None or end is None:
            read.errors.append(f"{place}:{table.line_num}: expected a video, a type, and start and end in seconds")
            continue
        rows.append((name, RawSegment(start, end, label), None))
    grouped(read, rows, split, place)
    return read


def read_index_table(table: csv.DictReader, split: str, place: str, classes: Sequence[str]) -> Read:
    """Columns video-name, t-init, t-end, label-idx and, if there, video-duration (``thumos14_test_groundtruth.csv``).

    label-idx: position in ``classes``, -1 for ambiguous.
    """
    read, rows = Read(), []
    for row in table:
        name, start, end = (row["video-name"] or "").strip(), seconds(row["t-init"]), seconds(row["t-end"])
        index = seconds(row["label-idx"])
        at = f"{place}:{table.line_num}"
        if not name or start is None or end is None:
            read.errors.append(f"{at}: expected a video-name, and t-init and t-end in seconds")
        elif index is None or index != int(index) or not -1 <= index < len(classes):
            read.errors.append(f"{at}: label-idx is {row['label-idx']!r}; expected -1 or 0 to {len(classes) - 1}")
        else:
            label = AMBIGUOUS if index == -1 else classes[int(index)]
            rows.append((name, RawSegment(start, end, label), seconds(row.get("video-duration"))))
    grouped(read, rows, split, place)
    return read
