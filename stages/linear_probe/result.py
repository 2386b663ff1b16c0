"""What a probe found, and how it is reported: metrics, predictions, confusion, and how settings were chosen."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from stages.features.splits import Part
from stages.nn.metrics import confusion_matrix, mean_class_accuracy, top_k_accuracy
from stages.video.confusion import confusion_picture

if TYPE_CHECKING:
    from engine.run.context import Context
    from stages.video.clips import Clips


@dataclass(frozen=True)
class Trial:
    """A setting, fitted without the held-out videos and measured on them. ``loss``: their mean cross-entropy."""

    setting: Mapping[str, float]
    accuracy: float
    loss: float


@dataclass(frozen=True)
class Probed:
    """The probe of one seed. scores: [test videos, classes] log-probabilities, -inf for classes never trained on.

    trials: empty when there was nothing to choose; best: which of them was chosen.
    """

    scores: NDArray[np.float64]
    trials: tuple[Trial, ...] = ()
    best: int = 0


def best_of(trials: Sequence[Trial]) -> int:
    """The trial of highest accuracy; among equals that of lowest loss, then the first."""
    return min(range(len(trials)), key=lambda i: (-trials[i].accuracy, trials[i].loss, i))


def to_all_classes(scores: NDArray, seen: NDArray, classes: int) -> NDArray[np.float64]:
    """Scores [N, seen classes] as [N, classes], -inf for classes that were not among those ``seen``."""
    full = np.full((len(scores), classes), -np.inf)
    full[:, seen] = scores
    return full


def report(clips: Clips, test: Part, probed: Mapping[int, Probed], context: Context) -> dict[str, Any]:
    """Write predictions, pictures and the record of choices; returns the metrics."""
    classes = len(clips.classes)
    seeds = {str(seed): measure(one.scores, test.targets, classes) for seed, one in probed.items()}
    _write_predictions(clips, test, probed, context)
    _write_trials(probed, context)
    confusion = sum(
        confusion_matrix(one.scores.argmax(axis=1), test.targets, classes) for one in probed.values()
    )
    context.picture("confusion", confusion_picture(confusion, clips.classes))
    chance = {"top1": 1 / classes, "mean_class": 1 / classes} | ({"top5": 5 / classes} if classes > 5 else {})
    return {"seeds": seeds, "test_videos": len(test), "chance": chance}


def measure(scores: NDArray, targets: NDArray, classes: int) -> dict[str, float]:
    """Metrics of one seed; top-5 says nothing where there are no more than five classes, and is left out."""
    found = {
        "top1": top_k_accuracy(scores, targets, 1),
        "mean_class": mean_class_accuracy(scores.argmax(axis=1), targets),
    }
    return found | ({"top5": top_k_accuracy(scores, targets, 5)} if classes > 5 else {})


def _write_predictions(clips: Clips, test: Part, probed: Mapping[int, Probed], context: Context) -> None:
    """``predictions.parquet``, a row for each seed and test video; ``probabilities.safetensors``, [test videos, classes] a seed."""
    import pyarrow as pa
    import pyarrow.parquet as pq
    from safetensors.numpy import save_file

    names = np.array(clips.classes, dtype=object)
    paths = [clips.paths[row] for row in test.rows]
    parts = []
    for seed, one in probed.items():
        predicted = one.scores.argmax(axis=1)
        columns = {
            "seed": pa.array(np.full(len(test), seed), pa.int64()),
            "path": pa.array(paths, pa.string()),
            "label": pa.array(names[test.targets], pa.string()),
            "predicted": pa.array(names[predicted], pa.string()),
            "probability": pa.array(np.exp(one.scores.max(axis=1)), pa.float32()),
            "right": pa.array(predicted == test.targets),
        }
        parts.append(pa.table(columns))
    pq.write_table(pa.concat_tables(parts), context.out / "predictions.parquet", compression="zstd")
    probabilities = {f"s{seed}": np.exp(one.scores).astype(np.float32) for seed, one in probed.items()}
    save_file(probabilities, context.out / "probabilities.safetensors")


def _write_trials(probed: Mapping[int, Probed], context: Context) -> None:
    """``held_out.csv``: every setting that was tried, for each seed, and which was chosen."""
    settings = list(next((one.trials[0].setting for one in probed.values() if one.trials), {}))
    if not settings:
        return
    with (context.out / "held_out.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["seed", *settings, "accuracy", "loss", "chosen"])
        for seed, one in probed.items():
            for i, trial in enumerate(one.trials):
                values = [f"{trial.setting[name]:g}" for name in settings]
                writer.writerow(
                    [seed, *values, f"{trial.accuracy:.6f}", f"{trial.loss:.6f}", int(i == one.best)]
                )
