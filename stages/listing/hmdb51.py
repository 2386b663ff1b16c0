"""HMDB51's split files. Names of its videos contain ``[``, ``]``, ``!``, ``&``, ``;`` and ``#``: nothing here is a pattern."""

from __future__ import annotations

import re
from pathlib import Path

from engine.errors import UserError
from stages.listing.contents import Contents
from stages.listing.files import lines, where
from stages.listing.found import Entry, Found
from stages.listing.spec import Hmdb51Layout

_LISTS = ("testTrainMulti_7030_splits", "splits", "test_train_splits", ".")
_VIDEOS = ("", "videos", "hmdb51", "hmdb51_org", "HMDB51")
_FILE = re.compile(r"^(?P<label>.+)_test_split(?P<split>\d)\.txt$")
_SPLITS = {"1": "train", "2": "test"}


def read_hmdb51(root: Path, layout: Hmdb51Layout, contents: Contents) -> Found:
    """One split file a class; its lines are ``<video>.avi <id>`` with id 1 = train, 2 = test, 0 = unused."""
    found = Found()
    files = _split_files(root, layout)
    found.classes = tuple(sorted(files))
    for label, file in sorted(files.items()):
        for number, line in lines(file):
            place = where(root, file, number)
            parts = line.rsplit(None, 1)
            if len(parts) != 2 or parts[1] not in ("0", "1", "2"):
                found.errors.append(f"{place}: expected `<video> <0, 1 or 2>`, not {line!r}")
                continue
            if parts[1] == "0":
                continue
            found.named += 1
            path = contents.find(f"{label}/{parts[0]}", _VIDEOS)
            if path is None:
                found.miss(place, f"{label}/{parts[0]}")
            else:
                found.entries.append(Entry(path, label, _SPLITS[parts[1]], "", place))
    return found


def _split_files(root: Path, layout: Hmdb51Layout) -> dict[str, Path]:
    """Label -> split file, from the first folder that has any of this split. Labels contain underscores."""
    folders = [root / name for name in ((layout.lists,) if layout.lists else _LISTS)]
    for folder in folders:
        if folder.is_dir():
            matches = ((_FILE.match(p.name), p) for p in sorted(folder.iterdir()))
            files = {m["label"]: p for m, p in matches if m and int(m["split"]) == layout.split}
            if files:
                return files
    raise UserError(
        f"no files like <class>_test_split{layout.split}.txt in {', '.join(map(str, folders))}. Put them there, or name their "
        f"folder by `lists` in the spec's data"
    )
