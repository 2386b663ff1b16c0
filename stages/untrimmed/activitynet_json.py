"""Annotations in ActivityNet's form, for tools that read nothing else."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path, PurePosixPath

from stages.tal.annotations import Annotations

_SUBSETS = {"train": "training", "val": "validation", "test": "validation"}


def write_activitynet(path: Path, annotations: Annotations, splits: Mapping[str, str], version: str) -> None:
    """Write a JSON file with a line a video. splits: by video; test becomes ``validation``, as papers use it."""
    taxonomy = [
        {"nodeId": number, "nodeName": name, "parentId": 0, "parentName": "Root"}
        for number, name in enumerate(annotations.classes, 1)
    ]
    lines = []
    for video, instances in sorted(annotations.instances.items()):
        entry = {
            "subset": _SUBSETS[splits[video]],
            "duration": annotations.durations[video],
            "annotations": [{"segment": [i.start, i.end], "label": annotations.classes[i.label]} for i in instances],
        }
        lines.append(
            f"{json.dumps(PurePosixPath(video).stem, ensure_ascii=False)}: {json.dumps(entry, ensure_ascii=False)}"
        )
    with open(path, "w", encoding="utf-8", newline="\n") as file:
        file.write(f'{{"version": {json.dumps(version)},\n"taxonomy": {json.dumps(taxonomy, ensure_ascii=False)},\n')
        file.write('"database": {\n' + ",\n".join(lines) + "\n}}\n")
