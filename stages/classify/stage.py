"""Classify: test videos shown to trained classifiers, probabilities averaged over windows and crops."""

from __future__ import annotations

from typing import Any

from engine.errors import UserError
from engine.run.context import Context
from stages.classify.classifier import load_classifier
from stages.classify.probabilities import ClipAccuracy, class_probabilities, log_of
from stages.classify.report import depths, report
from stages.classify.spec import Config
from stages.features.splits import train_and_test
from stages.features.windows import VideoMeans, WindowBatches, steps_of
from stages.nn.precision import numbers
from stages.video.clips import Clips
from stages.video.crops import evaluation_crops
from stages.video.loader import Loader, default_workers
from stages.video.views import open_view


def run(config: Config, context: Context) -> dict[str, Any]:
    """Accuracies of videos and of single clips for each seed; writes predictions, probabilities and the confusion."""
    clips = Clips.open(context.input("clips"), context)
    _, test = train_and_test(clips, context)
    how = numbers(config.look.precision, context.device)
    networks, cards = [], []
    for folder in context.inputs["models"]:
        classifier, card, classes = load_classifier(folder)
        if classes != clips.classes or cards and card.view != cards[0].view:
            raise UserError(
                f"{folder} tells other classes apart, or sees another view, than this test: train it again"
            )
        networks.append(how.place(classifier))
        cards.append(card)

    view = cards[0].view
    crops = evaluation_crops(config.crops, config.crop_share)
    batches = WindowBatches.of(open_view(view, clips, context), test.rows, config.look, crops)
    means = VideoMeans(len(networks), len(test), len(clips.classes))
    alone = ClipAccuracy(len(networks), depths(len(clips.classes)))
    steps = steps_of(len(batches))
    workers = context.workers(default_workers(context.device))
    with Loader(batches, len(batches), workers, context.device) as loader:
        for step in context.steps(len(steps), {"means": means, "alone": alone}, "classify"):
            for batch in steps[step]:
                pixels, videos = loader[batch]
                found = class_probabilities(networks, pixels, view, how)
                means.add(found, videos)
                alone.add(found, test.targets[videos.numpy()])

    metrics = report(clips, test, dict(zip(config.seeds, log_of(means))), context)
    for place, seed in enumerate(config.seeds):
        metrics["seeds"][str(seed)] |= alone.of(place)
    metrics["chance"] |= {f"clip_top{k}": k / len(clips.classes) for k in alone.depths}
    return metrics | {"test_clips": batches.clips}
