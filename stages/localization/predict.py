"""Detections in one video file, by a detector that was trained before: a Python call and a command, no study around it.

    from stages.localization.predict import predict
    for found in predict("results/demo/localization.lofi.s0", "video.mp4"):
        print(found.start, found.end, found.label, found.score)

    python -m stages.localization.predict results/demo/localization.lofi.s0 video.mp4 > detections.json

From a folder of videos and a JSON file of ActivityNet's form to such a detector and to detections in all test videos
it is one command, ``vidspec repro``, after a spec of this kind is written to ``specs/mine.yaml`` and named in
``params.yaml``:

    spec: 1
    name: mine
    data: {kind: activitynet, name: mine, file: annotations.json, pack: {short_side: 256}}
    encoder: {kind: tsm_resnet18, weights: IMAGENET1K_V1}
    models:
      imagenet: {method: random}        # the encoder as it is; any trained model of the study can stand here
    evaluate:
      - {protocol: localization, models: [imagenet]}

and ``VIDSPEC_ROOT_MINE`` says where the folder is. Detections of seed 0 are in
``results/mine/localization.imagenet/own.s0.json``, the detector in ``results/mine/localization.imagenet.s0``.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from engine.errors import UserError
from stages.features.frozen import Frozen
from stages.localization.detector import Detector, load_detector
from stages.localization.inference import find_proposals
from stages.nn.precision import numbers
from stages.nn.weights import ENCODER, load_encoder
from stages.snippets.encode import AT_ONCE, snippet_frames
from stages.snippets.spec import Snippets
from stages.tal.fusion import detections
from stages.tal.segments import best_first
from stages.video.container import VideoError
from stages.video.decode import fit, read_frames
from stages.video.index import Checked, check
from stages.video.transforms import evaluation_clip


@dataclass(frozen=True)
class Detection:
    """Something that happens from ``start`` to ``end`` [s]. label: a class name; score: higher is surer."""

    start: float
    end: float
    label: str
    score: float


def predict(folder: Path | str, video: Path | str, device: str = "cpu") -> tuple[Detection, ...]:
    """What happens in a video, the surest first. For many videos, open a ``Predictor`` once.

    folder: output of a localization training. Raises UserError when one of the two cannot be used.
    """
    return Predictor(Path(folder), device)(Path(video))


class Predictor:
    """A detector with its encoder, ready for videos.

    Raises UserError when ``folder`` holds no detector, or one without an encoder for colour frames, or there is no such
    device.
    """

    def __init__(self, folder: Path, device: str = "cpu") -> None:
        self.detector: Detector = load_detector(folder)
        origin = self.detector.card.features
        if not (folder / ENCODER).exists():
            raise UserError(
                f"{folder} was trained on published features: without their encoder it cannot look at a video"
            )
        encoder, card = load_encoder(folder)
        if card.view.kind == "flow":
            raise UserError(
                f"{folder} sees optical flow, which is computed for whole data sets only: use `vidspec repro`"
            )
        how = numbers("bf16" if origin.source.get("bf16") else "fp32", usable_device(device))
        self.frozen = Frozen((how.place(encoder.requires_grad_(False)),), (folder,), card.view, how)
        self.head = how.place(self.detector.head)
        self.snippets = Snippets(
            count=origin.snippets, frames=origin.frames, stride=origin.stride, size=origin.size
        )

    def __call__(self, video: Path) -> tuple[Detection, ...]:
        """What happens in a video, the surest first. Raises UserError when it cannot be read."""
        checked = check(video)
        if not checked.frames:
            raise UserError(f"{video}: {checked.problem}")
        duration = length_of(checked)
        if not duration:
            raise UserError(
                f"{video} says neither how long it is nor how many frames it shows a second: convert it"
            )
        try:
            features = self.features(video, checked)
        except VideoError as error:
            raise UserError(
                f"{video} cannot be read again as it was read at first: {error}. Has it changed meanwhile?"
            ) from None
        card = self.detector.card
        (proposals,) = find_proposals(
            self.head, [features], card.head.inference, card.head.parity, self.frozen.numbers.device
        )
        scores = self.detector.classifier.probabilities(features.mean(axis=0, dtype=np.float64)[None])[0]
        found = detections(proposals, scores, 0, duration, card.head.inference)
        found = found.take(best_first(found))
        rows = zip(
            found.start.tolist(), found.end.tolist(), found.label.tolist(), found.score.tolist(), strict=True
        )
        return tuple(Detection(start, end, card.classes[label], score) for start, end, label, score in rows)

    def features(self, video: Path, checked: Checked) -> NDArray[np.float32]:
        """Features of the video's snippets [L, D], as the snippets stage makes them of frames not packed as JPEG."""
        size = fit(*checked.display_size, self.detector.card.features.short_side)
        frames = snippet_frames(checked.frames, self.snippets)
        parts = []
        for first in range(0, len(frames), AT_ONCE):
            part = frames[first : first + AT_ONCE]
            used, places = np.unique(part, return_inverse=True)
            pictures = read_frames(video, used, size, checked.rotate, checked.points)
            pixels = evaluation_clip(pictures, self.snippets.size)[
                :, torch.from_numpy(places.reshape(part.shape))
            ]
            parts.append(self.frozen(pixels.transpose(0, 1).contiguous())[0].cpu())
        return torch.cat(parts).numpy()


def length_of(checked: Checked) -> float:
    """Seconds that the frames of a video fill; 0 if that is not known.

    The container's statement, but of a video that ends early, or whose container says nothing, its frames and their
    rate.
    """
    of_frames = checked.frames / checked.fps if checked.fps else 0.0
    if checked.status == "partial":
        return of_frames
    return checked.duration or of_frames


def usable_device(name: str) -> torch.device:
    """The device of that name. Raises UserError when there is none, and says why."""
    try:
        device = torch.device(name)
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError, NotImplementedError) as error:  # unknown name, or no driver, or no such number
        reason = str(error).splitlines()[0]
        raise UserError(f"device {name!r} cannot be used: {reason} Take cpu, or cuda where there is a GPU") from None
    return device


def main(arguments: Sequence[str] | None = None) -> int:
    """The command: prints detections in all videos that can be read as JSON. Returns 1 if some could not, else 0."""
    parser = argparse.ArgumentParser(
        prog="python -m stages.localization.predict", description="Find what happens when in a video."
    )
    parser.add_argument(
        "folder",
        type=Path,
        help="output of a localization training: results/<study>/localization.<model>.s<seed>",
    )
    parser.add_argument("video", type=Path, nargs="+")
    parser.add_argument("--device", default="cpu", help="cpu, cuda, cuda:1 ...")
    given = parser.parse_args(arguments)
    try:
        predictor = Predictor(given.folder, given.device)
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    found, failed = {}, False
    for video in given.video:
        try:
            found[str(video)] = [asdict(one) for one in predictor(video)]
        except UserError as error:
            print(f"error: {error}", file=sys.stderr)
            failed = True
    print(json.dumps(found, indent=1, ensure_ascii=False))
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
