"""Writes the videos of ``synthetic_actions`` and their listing."""

from __future__ import annotations

import os
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any, Iterator, Sequence

from engine.run.context import Context
from engine.run.processes import die_with_parent
from stages.synthetic.render import render
from stages.synthetic.scene import SPLITS, draw_scene, motion_of, random_for
from stages.synthetic.sheet import contact_sheet
from stages.synthetic.spec import Config, Recipe
from stages.synthetic.video import write_mp4
from stages.video.listing import Listing, Video, digest, write_listing


def run(config: Config, context: Context) -> dict[str, Any]:
    """Write ``videos/<class>/<split>_<number>.mp4``, the listing of them, and a picture of the classes."""
    recipe = config.recipe
    tasks = [(split, index) for split in SPLITS for index in range(getattr(recipe, split))]
    workers = context.workers(len(os.sched_getaffinity(0)))
    videos = tuple(context.progress(make_all(recipe, context.out, tasks, workers), "videos", len(tasks)))
    write_listing(context.out, Listing(videos, recipe.motions))
    context.picture("classes", contact_sheet(recipe))
    return {
        "videos": len(videos),
        "classes": len(recipe.motions),
        **{f"{split}_videos": getattr(recipe, split) for split in SPLITS},
        "bytes": sum(video.size for video in videos),
    }


def make_all(recipe: Recipe, out: Path, tasks: Sequence[tuple[str, int]], workers: int) -> Iterator[Video]:
    """Make all videos, in up to ``workers`` processes; the order and the bytes are those of one process."""
    make = partial(make_video, recipe, out)
    workers = min(workers, len(tasks) // 32)  # starting a process costs about as much as 32 videos
    if workers < 2:
        yield from map(make, tasks)
        return
    with ProcessPoolExecutor(workers, get_context("spawn"), die_with_parent) as pool:
        yield from pool.map(make, tasks, chunksize=8)


def make_video(recipe: Recipe, out: Path, task: tuple[str, int]) -> Video:
    """Write one video below ``out``; ``task``: its split and its number in the split."""
    split, index = task
    label = motion_of(recipe, index)
    name = f"videos/{label}/{split}_{index:05d}.mp4"
    frames = render(draw_scene(recipe, split, index), recipe.noise, random_for(recipe, split, "noise", index))
    write_mp4(out / name, frames, recipe.fps, recipe.qp, recipe.gop)
    return Video(name, label, split, "", *digest(out / name))
