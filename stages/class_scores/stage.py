"""Class scores: read a file with them and check that it fits the data set."""

from __future__ import annotations

from typing import Any

from engine.errors import UserError
from engine.run.context import Context
from stages.class_scores.reading import SHOWN, read_score_file, write_scores
from stages.class_scores.spec import Config
from stages.tal.annotations import Annotations
from stages.tal.results_json import ids_of_paths
from stages.video.listing import read_listing


def run(config: Config, context: Context) -> dict[str, Any]:
    """Write the scores of the test videos, by id.

    Raises UserError for absent ones if ``missing`` is fail, and for two videos of one id.
    """
    annotations = Annotations.open(context.input("annotations"))
    path = context.local.root(config.scores.root) / config.scores.file
    scores = read_score_file(path, annotations.classes)
    listing = read_listing(context.input("annotations"))
    paths = [video.path for video in listing.videos if video.split == "test"]
    test = {name: paths[number] for name, number in ids_of_paths(paths).items()}
    missing = sorted(test[name] for name in test.keys() - scores.keys())
    if missing:
        some = ", ".join(missing[:SHOWN])
        message = f"{path} has no scores of {len(missing)} of {len(test)} test videos ({some} ...)"
        if config.scores.missing == "fail" or len(missing) == len(test):
            raise UserError(
                f"{message}. With `missing: skip` they have no detections, and their segments count as missed"
            )
        context.warn(f"{message}: they have no detections")
    write_scores(context.out, {name: scores[name] for name in test if name in scores})
    return {"videos": len(test) - len(missing), "missing": len(missing), "classes": len(annotations.classes)}
