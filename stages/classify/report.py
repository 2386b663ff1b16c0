"""How class probabilities of test videos are reported: metrics, predictions, probabilities and confusion."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from stages.features.splits import Part
from stages.nn.metrics import confusion_matrix, mean_class_accuracy, top_k_accuracy
from stages.video.confusion import confusion_picture

if TYPE_CHECKING:
    from engine.run.context import Context
    from stages.video.clips import Clips


def report(clips: Clips, test: Part, scores: Mapping[int, NDArray], context: Context) -> dict[str, Any]:
    """Write predictions and a picture; returns the metrics.

    scores: seed -> [test videos, classes], logs of the class probabilities; -inf for classes never trained on.
    """
    classes = len(clips.classes)
    seeds = {str(seed): measure(table, test.targets, classes) for seed, table in scores.items()}
    write_predictions(clips, test, scores, context)
    confusion = sum(
        confusion_matrix(table.argmax(axis=1), test.targets, classes) for table in scores.values()
    )
    context.picture("confusion", confusion_picture(confusion, clips.classes))
    chance = {"mean_class": 1 / classes} | {f"top{k}": k / classes for k in depths(classes)}
    return {"seeds": seeds, "test_videos": len(test), "chance": chance}


def depths(classes: int) -> tuple[int, ...]:
    """The k of top-k that are reported: top-5 says nothing of five classes or fewer, and is left out."""
    return (1, 5) if classes > 5 else (1,)


def measure(scores: NDArray, targets: NDArray, classes: int) -> dict[str, float]:
    """Metrics of one seed. scores: [N, classes]; targets: [N]."""
    found = {f"top{k}": top_k_accuracy(scores, targets, k) for k in depths(classes)}
    return found | {"mean_class": mean_class_accuracy(scores.argmax(axis=1), targets)}


def write_predictions(clips: Clips, test: Part, scores: Mapping[int, NDArray], context: Context) -> None:
    """``predictions.parquet``, a row for each seed and test video, and ``probabilities.safetensors``, in which each
    seed has a table ``s<seed>`` [test videos, classes]."""
    import pyarrow as pa
    import pyarrow.parquet as pq
    from safetensors.numpy import save_file

    names = np.array(clips.classes, dtype=object)
    paths = [clips.paths[row] for row in test.rows]
    parts = []
    for seed, table in scores.items():
        predicted = table.argmax(axis=1)
        columns = {
            "seed": pa.array(np.full(len(test), seed), pa.int64()),
            "path": pa.array(paths, pa.string()),
            "label": pa.array(names[test.targets], pa.string()),
            "predicted": pa.array(names[predicted], pa.string()),
            "probability": pa.array(np.exp(table.max(axis=1)), pa.float32()),
            "right": pa.array(predicted == test.targets),
        }
        parts.append(pa.table(columns))
    pq.write_table(pa.concat_tables(parts), context.out / "predictions.parquet", compression="zstd")
    probabilities = {f"s{seed}": np.exp(table).astype(np.float32) for seed, table in scores.items()}
    save_file(probabilities, context.out / "probabilities.safetensors")
