"""Writes the videos of ``synthetic_untrimmed``, their listing and their annotations."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from engine.run.context import Context
from engine.run.processes import die_with_parent
from stages.synthetic.scene import SPLITS
from stages.synthetic.video import write_mp4
from stages.tal.annotations import Annotations, Instance, listing_classes, main_label
from stages.untrimmed.activitynet_json import write_activitynet
from stages.untrimmed.film import draw_film, render_film
from stages.untrimmed.sheet import timelines
from stages.untrimmed.spec import Config, UntrimmedRecipe
from stages.video.listing import Listing, Video, digest, write_listing

Made = tuple[Video, float, tuple[Instance, ...]]
"""A video, its duration in seconds, and what happens in it."""


def run(config: Config, context: Context) -> dict[str, Any]:
    """Write ``videos/<split>_<number>.mp4``, listing, annotations (in ActivityNet's form too) and a picture."""
    recipe = config.recipe
    tasks = [(split, index) for split in SPLITS for index in range(getattr(recipe, split))]
    workers = context.workers(len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1)
    made = list(context.progress(make_all(recipe, context.out, tasks, workers), "videos", len(tasks)))
    videos = tuple(video for video, _, _ in made)
    annotations = Annotations(
        classes=recipe.motions,
        instances={video.path: instances for video, _, instances in made},
        durations={video.path: duration for video, duration, _ in made},
        duration_sources={video.path: "annotation" for video in videos},
    )
    classes = listing_classes(recipe.motions, {video.label for video in videos})
    write_listing(context.out, Listing(videos, classes))
    annotations.write(context.out)
    splits = {video.path: video.split for video in videos}
    write_activitynet(context.out / "activitynet.json", annotations, splits, "synthetic-untrimmed")
    context.picture("timelines", timelines(recipe))
    annotated = sum(i.end - i.start for _, _, instances in made for i in instances)
    return {
        "videos": len(videos),
        "classes": len(recipe.motions),
        **{f"{split}_videos": getattr(recipe, split) for split in SPLITS},
        **{f"{s}_segments": sum(len(i) for v, _, i in made if v.split == s) for s in SPLITS},
        "annotated_share": round(annotated / sum(duration for _, duration, _ in made), 6),
        "bytes": sum(video.size for video in videos),
    }


def make_all(recipe: UntrimmedRecipe, out: Path, tasks: Sequence[tuple[str, int]], workers: int) -> Iterator[Made]:
    """Make all videos, in up to ``workers`` processes; the order and the bytes are those of one process."""
    make = partial(make_video, recipe, out)
    workers = min(workers, len(tasks) * recipe.frames // 512)  # starting a process costs about as much as 512 frames
    if workers < 2:
        yield from map(make, tasks)
        return
    with ProcessPoolExecutor(workers, get_context("spawn"), die_with_parent) as pool:
        yield from pool.map(make, tasks, chunksize=2)


def make_video(recipe: UntrimmedRecipe, out: Path, task: tuple[str, int]) -> Made:
    """Write one video below ``out``; ``task``: its split and its number in the split."""
    split, index = task
    name = f"videos/{split}_{index:05d}.mp4"
    film = draw_film(recipe, split, index)
    write_mp4(out / name, render_film(film, recipe, split, index), recipe.fps, recipe.qp, recipe.gop)
    instances, duration = film.instances(recipe), film.frames / recipe.fps
    label = main_label(instances, duration, recipe.motions)
    return Video(name, label, split, "", *digest(out / name)), duration, instances
