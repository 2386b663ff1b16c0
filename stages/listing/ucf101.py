"""UCF101's split files, and data sets laid out like it."""

from __future__ import annotations

import re
from pathlib import Path, PurePosixPath

from stages.listing.contents import Contents
from stages.listing.files import first_folder, lines, where
from stages.listing.found import Entry, Found
from stages.listing.spec import Ucf101Layout

_LISTS = ("splits", "ucfTrainTestlist", ".")
_VIDEOS = ("videos", "UCF-101", "UCF101", "")
_GROUP = re.compile(r"_g(\d+)_c\d+$", re.IGNORECASE)


def read_ucf101(root: Path, layout: Ucf101Layout, contents: Contents) -> Found:
    """Labels come from the folder of a video, never from its name: UCF101 has ``HandstandPushups/v_HandStandPushups_…``.

    Classes are in the order of ``classInd.txt``, which is not the order of sorted folder names.
    """
    found = Found()
    folder = first_folder(root, (layout.lists,) if layout.lists else _LISTS, "classInd.txt")
    found.classes = _read_classes(root, folder / "classInd.txt", found)
    by_name = {name.lower(): name for name in found.classes}
    for split, name in (("train", f"trainlist0{layout.split}.txt"), ("test", f"testlist0{layout.split}.txt")):
        for number, line in lines(folder / name):
            place = where(root, folder / name, number)
            named, index = _split_line(line)
            label = by_name.get(PurePosixPath(named).parent.name.lower())
            if label is None:
                found.errors.append(f"{place}: {named}: its folder is no class of classInd.txt")
                continue
            if index is not None and not (
                1 <= index <= len(found.classes) and found.classes[index - 1] == label
            ):
                found.errors.append(
                    f"{place}: {named} has class number {index}, but {label} is another one in classInd.txt"
                )
                continue
            found.named += 1
            path = contents.find(named, _VIDEOS)
            if path is None:
                found.miss(place, named)
                continue
            group = _GROUP.search(PurePosixPath(named).stem)
            owner = f"{label}_" if layout.groups == "of_class" else ""
            found.entries.append(Entry(path, label, split, f"{owner}g{group[1]}" if group else "", place))
    return found


def _split_line(line: str) -> tuple[str, int | None]:
    """``Class/video.avi 1`` or ``Class/video.avi``."""
    named, _, last = line.rpartition(" ")
    return (named.strip(), int(last)) if named and last.isdecimal() else (line, None)


def _read_classes(root: Path, path: Path, found: Found) -> tuple[str, ...]:
    """Lines ``<1-based number> <Class>``, put in the order of their numbers."""
    numbered: dict[int, str] = {}
    for number, line in lines(path):
        first, _, name = line.partition(" ")
        if not first.isdecimal() or not name.strip():
            found.errors.append(f"{where(root, path, number)}: expected `<number> <Class>`, not {line!r}")
        elif int(first) in numbered or name.strip() in numbered.values():
            found.errors.append(f"{where(root, path, number)}: {line!r} stands there twice")
        else:
            numbered[int(first)] = name.strip()
    if sorted(numbered) != list(range(1, len(numbered) + 1)):
        found.errors.append(f"{where(root, path)}: the class numbers are not 1 to {len(numbered)}")
    return tuple(numbered[i] for i in sorted(numbered))
