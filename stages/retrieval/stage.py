"""Retrieval: each test video asks for the training videos nearest to it, and is right when their class is its own."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.run.context import Context
from stages.features.splits import Part, train_and_test
from stages.features.stored import read_features
from stages.retrieval.nearest import Neighbours, directions, nearest, recall_at, recall_by_chance
from stages.retrieval.spec import DEPTHS, Centre, Config
from stages.video.clips import Clips
from stages.video.neighbours import Answer, Query, neighbours_picture, spread_queries

LISTED = 10
"""Neighbours of each query that ``neighbours.parquet`` lists."""
SHOWN = 5
"""Neighbours of each query in the picture."""


def run(config: Config, context: Context) -> dict[str, Any]:
    """Recall at 1, 5, 10 ... for each seed; writes ``neighbours.parquet`` and a picture of some queries."""
    clips = Clips.open(context.input("clips"), context)
    train, test = train_and_test(clips, context)
    depths = [k for k in DEPTHS if k <= len(train)]
    if len(depths) < len(DEPTHS):
        context.warn(
            f"only {len(train)} training videos: recall is reported at {', '.join(map(str, depths))} only"
        )

    seeds: dict[str, dict[str, float]] = {}
    tables = []
    streams = [read_features(folder, len(clips.paths)) for folder in context.inputs["features"]]
    for seed in streams[0]:
        features = [stream[seed] for stream in streams]
        found = search(features, train, test, config.centre, max(depths[-1], min(LISTED, len(train))), context)
        right = train.targets[found.rows] == test.targets[:, None]
        seeds[str(seed)] = {f"recall_at_{k}": recall_at(right, k) for k in depths}
        tables.append((seed, found))
    write_neighbours(context.out / "neighbours.parquet", clips, train, test, tables)
    context.picture("neighbours", draw(clips, train, test, tables[0][1], config.pictured))

    chance = {f"recall_at_{k}": recall_by_chance(test.targets, train.targets, k) for k in depths}
    return {
        "seeds": seeds,
        "test_videos": len(test),
        "chance": chance,
    }


def search(
    streams: Sequence[NDArray], train: Part, test: Part, centre: Centre, k: int, context: Context
) -> Neighbours:
    """The ``k`` training videos nearest to each test video, by the mean of the cosines of all streams.

    streams: features [videos, D] of all videos, one array a model; D may differ.
    """
    galleries, queries = zip(*(_directions(features, train, test, centre, context) for features in streams))
    # the product of such vectors, one after another, is the sum of the streams' cosines over their number
    share = len(streams) ** -0.5
    return nearest(np.concatenate(queries, axis=1) * share, np.concatenate(galleries, axis=1) * share, k)


def _directions(
    features: NDArray, train: Part, test: Part, centre: Centre, context: Context
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Training and test videos of one stream as unit vectors."""
    known, asked = (np.asarray(features[part.rows], dtype=np.float64) for part in (train, test))
    train_mean = None if centre == "none" else known.mean(axis=0)
    test_mean = asked.mean(axis=0) if centre == "own" else train_mean
    gallery = directions(known, train_mean)
    if not gallery.any():
        context.warn(
            "the features of all training videos are the same: the encoder has collapsed, and the order is arbitrary"
        )
    return gallery, directions(asked, test_mean)


def write_neighbours(
    path: Path, clips: Clips, train: Part, test: Part, tables: list[tuple[int, Neighbours]]
) -> None:
    """One row for each seed, test video and rank (1 is nearest): who was found, how similar, and whether it is right."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    paths = np.array(clips.paths, dtype=object)
    names = np.array(clips.classes, dtype=object)
    parts = []
    for seed, found in tables:
        listed = found.rows[:, :LISTED]
        count = listed.shape[1]
        neighbour = listed.ravel()
        asked, known = np.repeat(test.targets, count), train.targets[neighbour]
        columns = {
            "seed": pa.array(np.full(len(neighbour), seed), pa.int64()),
            "query": pa.array(paths[np.repeat(test.rows, count)], pa.string()),
            "query_label": pa.array(names[asked], pa.string()),
            "rank": pa.array(np.tile(np.arange(1, count + 1), len(test)), pa.int32()),
            "neighbour": pa.array(paths[train.rows[neighbour]], pa.string()),
            "neighbour_label": pa.array(names[known], pa.string()),
            "similarity": pa.array(np.round(found.similarity[:, :LISTED].ravel(), 6), pa.float32()),
            "right": pa.array(asked == known),
        }
        parts.append(pa.table(columns))
    pq.write_table(pa.concat_tables(parts), path, compression="zstd")


def draw(clips: Clips, train: Part, test: Part, found: Neighbours, count: int) -> Any:
    """Picture of ``count`` queries spread over the classes, with their nearest training videos."""
    queries = []
    for place in spread_queries(test.targets, count):
        answers = tuple(
            Answer(int(train.rows[n]), float(s), bool(train.targets[n] == test.targets[place]))
            for n, s in zip(found.rows[place, :SHOWN], found.similarity[place, :SHOWN])
        )
        queries.append(Query(int(test.rows[place]), answers))
    return neighbours_picture(clips, queries)
