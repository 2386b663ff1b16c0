"""A csv file that names videos, labels, splits and, where known, sources."""

from __future__ import annotations

import csv
import io
from pathlib import Path, PurePosixPath

from engine.errors import UserError
from stages.listing.contents import Contents
from stages.listing.files import read_classes_file, read_text, where
from stages.listing.found import Entry, Found
from stages.listing.spec import ManifestLayout
from stages.video.listing import SPLITS


def read_manifest(root: Path, layout: ManifestLayout, contents: Contents) -> Found:
    """Columns path, label, split and optionally group, in any order; others are ignored."""
    found = Found()
    file = root / layout.file
    reader = csv.DictReader(io.StringIO(read_text(file), newline=""), skipinitialspace=True)
    columns = [name.strip() for name in reader.fieldnames or []]
    reader.fieldnames = columns
    absent = [name for name in ("path", "label", "split") if name not in columns]
    if absent:
        raise UserError(
            f"{file}:1: no column {', '.join(absent)}; the first line must be `path,label,split` or `path,label,split,group`"
        )
    allowed = read_classes_file(root, layout.classes) if layout.classes else None
    labels: set[str] = set()
    for row in reader:
        place = where(root, file, reader.line_num)
        path, label, split, group = (
            (row.get(name) or "").strip() for name in ("path", "label", "split", "group")
        )
        if not path or not label:
            found.errors.append(f"{place}: path or label is missing")
            continue
        if split not in SPLITS:
            found.errors.append(f"{place}: split is {split!r}; allowed are train, val, test")
            continue
        if allowed is not None and label not in allowed:
            found.errors.append(f"{place}: label {label!r} is not in {layout.classes}")
            continue
        labels.add(label)
        found.named += 1
        path = str(PurePosixPath(path))
        if path in contents:
            found.entries.append(Entry(path, label, split, group, place))
        else:
            found.miss(place, path)
    found.classes = allowed or tuple(sorted(labels))
    return found
