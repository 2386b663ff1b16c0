"""Does appearance give a class of ``synthetic_actions`` away? Single frames against whole clips, with controls.

    python benchmarks/appearance.py            # 1,600 training and 800 test clips; some twenty minutes on one core

Prints, for the videos as they are, the test accuracy of a logistic regression and of a small CNN on single frames
(one random frame of each test clip), which must stay below the upper 95 % bound of guessing; and controls that must rise
above it: a 3D CNN on whole clips, and the probes of single frames where a leak was planted (sprites of every other class
are larger, or stand nearer to the middle), asked for the half of the classes. All frames have been through H.264.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Callable, Literal

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

ROOT = Path(__file__).resolve().parent.parent
if str(ROOT) not in sys.path:
    sys.path.insert(0, str(ROOT))

from stages.synthetic.render import render  # noqa: E402 - after the path is set
from stages.synthetic.scene import Scene, draw_scene, random_for  # noqa: E402
from stages.synthetic.spec import Recipe  # noqa: E402
from stages.synthetic.video import write_mp4  # noqa: E402

Leak = Literal["none", "size", "place"]


@dataclass(frozen=True)
class Clips:
    """Videos uint8 [N, T, S, S, 3] and their classes int64 [N]."""

    videos: np.ndarray
    labels: np.ndarray


def make(recipe: Recipe, split: str, leak: Leak = "none", workers: int = 1) -> Clips:
    """All videos of a split, through H.264 and back."""
    count = getattr(recipe, split)
    one = partial(make_one, recipe, split, leak)
    if workers > 1:
        with ProcessPoolExecutor(workers, get_context("spawn")) as pool:
            videos = list(pool.map(one, range(count), chunksize=16))
    else:
        videos = [one(index) for index in range(count)]
    return Clips(np.stack(videos), np.arange(count) % len(recipe.motions))


def make_one(recipe: Recipe, split: str, leak: Leak, index: int) -> np.ndarray:
    """One decoded video uint8 [T, S, S, 3]."""
    import av

    scene = draw_scene(recipe, split, index)
    scene = planted(scene, leak) if index % 2 else scene
    frames = render(scene, recipe.noise, random_for(recipe, split, "noise", index))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "video.mp4")
        write_mp4(path, frames, recipe.fps, recipe.qp, recipe.gop)
        with av.open(str(path)) as container:
            container.streams.video[0].codec_context.thread_count = 1
            return np.stack([f.to_ndarray(format="rgb24") for f in container.decode(video=0)])


def planted(scene: Scene, leak: Leak) -> Scene:
    """A scene of a class with a leak: sprites larger by half, or drawn halfway to the middle."""
    if leak == "size":
        return replace(scene, radii=scene.radii * 1.5)
    return replace(scene, places=0.5 + (scene.places - 0.5) / 2) if leak == "place" else scene


def halves(clips: Clips) -> Clips:
    """The same videos, labelled by whether their class is one of those that ``planted`` changes."""
    return replace(clips, labels=clips.labels % 2)


def upper_bound(tests: int, classes: int, level: float = 0.975) -> float:
    """Accuracy that guessing stays below with probability ``level`` (0.975: the upper end of the 95 % interval)."""
    from scipy.stats import binom

    return float(binom.ppf(level, tests, 1 / classes)) / tests


def one_frame_each(clips: Clips, seed: int) -> np.ndarray:
    """A random frame of each video: uint8 [N, S, S, 3]."""
    frames = np.random.default_rng(seed).integers(clips.videos.shape[1], size=len(clips.videos))
    return clips.videos[np.arange(len(frames)), frames]


# -- single frames ------------------------------------------------------------------------------------------------------


def frame_cnn(train: Clips, test: Clips, steps: int, seed: int = 0, width: int = 16) -> tuple[float, float]:
    """Accuracy of a CNN on single frames: (train, test). It sees all frames of the training clips, and knows places."""
    torch.manual_seed(seed)
    network = nn.Sequential(
        *_block(nn.Conv2d, 3, width, 2),
        *_block(nn.Conv2d, width, 2 * width, 2),
        *_block(nn.Conv2d, 2 * width, 4 * width, 2),
        *_block(nn.Conv2d, 4 * width, 4 * width, 1),
        nn.AdaptiveAvgPool2d(2),
        nn.Flatten(),
        nn.Linear(16 * width, int(train.labels.max()) + 1),
    )
    length = train.videos.shape[1]
    images = torch.from_numpy(train.videos.reshape(-1, *train.videos.shape[2:])).permute(0, 3, 1, 2)
    labels = torch.from_numpy(train.labels).repeat_interleave(length)
    accuracy = fit(network, images, labels, steps, 64, scaled)
    frames = torch.from_numpy(one_frame_each(test, seed)).permute(0, 3, 1, 2)
    return accuracy, score(network, frames, torch.from_numpy(test.labels), scaled)


def frame_features(images: np.ndarray) -> np.ndarray:
    """Pixels of images uint8 [N, S, S, 3] at quarter size, and simple features; float32 [N, D].

    The features: mean, spread and histogram of each colour, energy of the gradient by orientation, profiles of rows and
    columns, power by spatial frequency.
    """
    x = images.astype(np.float32) / 255
    n, size = x.shape[:2]
    small = x.reshape(n, size // 4, 4, size // 4, 4, 3).mean((2, 4)).reshape(n, -1)
    grey = x.mean(-1)
    down, across = np.gradient(grey, axis=(1, 2))
    strength, angle = np.hypot(down, across), np.arctan2(down, across) % np.pi
    orientation = [(strength * (np.floor(angle / np.pi * 8) == k)).mean((1, 2)) for k in range(8)]
    histogram = [((x >= k / 8) & (x < (k + 1) / 8)).mean((1, 2)) for k in range(8)]
    power = np.log(np.abs(np.fft.rfft2(grey)) ** 2 + 1e-3)
    ring = np.hypot(np.fft.fftfreq(size)[:, None], np.fft.rfftfreq(size)[None]) * 24
    rings = [power[:, (ring >= k) & (ring < k + 1)].mean(1) for k in range(12)]
    moments = [x.mean((1, 2)), x.std((1, 2)), (strength**2).mean((1, 2))[:, None]]
    profiles = [grey.mean(1), grey.std(1), grey.mean(2), grey.std(2)]
    columns = [small, *moments, *histogram, *profiles, np.stack([*orientation, *rings], 1)]
    return np.concatenate(columns, 1).astype(np.float32)


def frame_linear(train: Clips, test: Clips, seed: int = 0, each: int = 4) -> float:
    """Test accuracy of a logistic regression on single frames (``each`` of a training clip)."""
    picks = np.linspace(0, train.videos.shape[1] - 1, each).astype(int)
    images = train.videos[:, picks].reshape(-1, *train.videos.shape[2:])
    labels = np.repeat(train.labels, each)
    held = np.repeat(np.arange(len(train.labels)) // (int(train.labels.max()) + 1) % 5 == 4, each)
    return logistic(frame_features(images), labels, held, frame_features(one_frame_each(test, seed)), test.labels)


def logistic(x: np.ndarray, y: np.ndarray, held: np.ndarray, test_x: np.ndarray, test_y: np.ndarray) -> float:
    """Test accuracy of a logistic regression whose L2 penalty is the best of six on the ``held`` part of training."""
    mean, spread = x.mean(0), x.std(0) + 1e-6
    x, test_x = (torch.from_numpy((part - mean) / spread) for part in (x, test_x))
    y, test_y, held = torch.from_numpy(y), torch.from_numpy(test_y), torch.from_numpy(held)

    def solve(rows: Tensor, penalty: float) -> nn.Linear:
        layer = nn.Linear(x.shape[1], int(y.max()) + 1)
        nn.init.zeros_(layer.weight)
        nn.init.zeros_(layer.bias)
        solver = torch.optim.LBFGS(layer.parameters(), max_iter=150, line_search_fn="strong_wolfe")

        def loss() -> Tensor:
            solver.zero_grad()
            value = F.cross_entropy(layer(x[rows]), y[rows]) + penalty * layer.weight.square().sum()
            value.backward()
            return value

        solver.step(loss)
        return layer

    penalties = [10.0**k for k in range(-4, 2)]
    best = max(penalties, key=lambda penalty: score(solve(~held, penalty), x[held], y[held]))
    return score(solve(torch.ones_like(held), best), test_x, test_y)


# -- motion -------------------------------------------------------------------------------------------------------------


def clip_cnn(train: Clips, test: Clips, steps: int, seed: int = 0, width: int = 12) -> tuple[float, float]:
    """Accuracy of a 3D CNN on whole clips, as differences of frames: (train, test)."""
    torch.manual_seed(seed)
    network = nn.Sequential(
        *_block(nn.Conv3d, 3, width, (1, 2, 2)),
        *_block(nn.Conv3d, width, 2 * width, (1, 2, 2)),
        *_block(nn.Conv3d, 2 * width, 4 * width, (2, 2, 2)),
        *_block(nn.Conv3d, 4 * width, 4 * width, (2, 2, 2)),
        nn.AdaptiveAvgPool3d(1),
        nn.Flatten(),
        nn.Linear(4 * width, int(train.labels.max()) + 1),
    )
    inputs = [torch.from_numpy(c.videos).permute(0, 4, 1, 2, 3) for c in (train, test)]
    accuracy = fit(network, inputs[0], torch.from_numpy(train.labels), steps, 16, difference)
    return accuracy, score(network, inputs[1], torch.from_numpy(test.labels), difference)


def true_motion(recipe: Recipe) -> float:
    """Test accuracy of a logistic regression on what the scenes say: speeds and their powers over time."""

    def features(split: str) -> tuple[np.ndarray, np.ndarray]:
        rows, labels = [], []
        for index in range(getattr(recipe, split)):
            pose = draw_scene(recipe, split, index).pose
            labels.append(index % len(recipe.motions))
            speed = np.diff(np.stack([pose.x, pose.y, np.log(pose.scale), pose.angle]))
            spectrum = np.abs(np.fft.rfft(speed / (np.abs(speed).max() + 1e-9))).ravel()
            rows.append(np.concatenate([np.abs(speed).mean(1), np.abs(speed.mean(1)), speed.std(1), spectrum]))
        return np.array(rows, np.float32), np.array(labels)

    (x, y), (test_x, test_y) = features("train"), features("test")
    return logistic(x, y, np.arange(len(y)) // (int(y.max()) + 1) % 5 == 4, test_x, test_y)


# -- training -----------------------------------------------------------------------------------------------------------


def scaled(images: Tensor) -> Tensor:
    """uint8 to float32 around 0."""
    return images.float() / 127.5 - 1


def difference(videos: Tensor) -> Tensor:
    """Differences of consecutive frames of uint8 [N, 3, T, S, S], at half size."""
    return F.avg_pool3d(scaled(videos), (1, 2, 2)).diff(dim=2) * 2


def fit(
    network: nn.Module, inputs: Tensor, labels: Tensor, steps: int, batch: int, prepare: Callable[[Tensor], Tensor]
) -> float:
    """Train with AdamW and one cycle of the learning rate; accuracy over the last tenth of the steps.

    Batches are shifted a little, mirrored and have their colours exchanged at random, against learning by heart.
    """
    optimiser = torch.optim.AdamW(network.parameters(), weight_decay=0.02)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, 4e-3, steps)
    reach, right, last = inputs.shape[-1] // 8, 0, max(steps // 10, 1)
    for step in range(steps):
        rows = torch.randint(len(labels), (batch,))
        shifts = torch.randint(-reach, reach + 1, (2,)).tolist()
        images = inputs[rows][:, torch.randperm(3)].roll(shifts, (-2, -1))
        output = network(prepare(images.flip(-1) if torch.rand(()) < 0.5 else images))
        loss = F.cross_entropy(output, labels[rows])
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        schedule.step()
        right += int((output.argmax(1) == labels[rows]).sum()) * (step >= steps - last)
    return right / (last * batch)


@torch.no_grad()
def score(network: nn.Module, inputs: Tensor, labels: Tensor, prepare: Callable[[Tensor], Tensor] = Tensor.float) -> float:
    """Share of right answers."""
    network.eval()
    answers = torch.cat([network(prepare(part)).argmax(1) for part in inputs.split(64)])
    return float((answers == labels).float().mean())


def _block(conv: type[nn.Conv2d] | type[nn.Conv3d], channels: int, width: int, stride: int | tuple[int, ...]) -> list[nn.Module]:
    norm = nn.BatchNorm2d if conv is nn.Conv2d else nn.BatchNorm3d
    return [conv(channels, width, 3, stride, 1, bias=False), norm(width), nn.ReLU()]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--train", type=int, default=1600)
    parser.add_argument("--test", type=int, default=800)
    parser.add_argument("--steps", type=int, default=1500, help="of training, for each CNN")
    parser.add_argument("--workers", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--recipe", default="{}", help='fields of the data kind as JSON, e.g. {"gop": 16}')
    given = parser.parse_args()
    recipe = Recipe.model_validate_json(json.dumps({**json.loads(given.recipe), "train": given.train, "test": given.test}))
    torch.set_num_threads(1)  # such small networks are slower on more
    classes = len(recipe.motions)
    bound = upper_bound(given.test, classes)
    print(f"{classes} classes, {given.test} test frames: chance {1 / classes:.1%}, upper 95 % bound {bound:.2%}", flush=True)
    clips = [make(recipe, split, workers=given.workers) for split in ("train", "test")]
    print(f"logistic regression, single frames: {frame_linear(*clips):.2%}", flush=True)
    print("CNN, single frames: train {:.1%}, test {:.2%}".format(*frame_cnn(*clips, given.steps)), flush=True)
    print(f"logistic regression, true motion: {true_motion(recipe):.2%}", flush=True)
    print("3D CNN, whole clips: train {:.1%}, test {:.2%}".format(*clip_cnn(*clips, given.steps)), flush=True)
    print(f"planted leaks, which half of the classes: chance 50 %, upper 95 % bound {upper_bound(given.test, 2):.2%}", flush=True)
    size, place = ([halves(make(recipe, split, leak, given.workers)) for split in ("train", "test")] for leak in ("size", "place"))
    print("leak in size, CNN: train {:.1%}, test {:.2%}".format(*frame_cnn(*size, given.steps)), flush=True)
    print(f"leak in place, logistic regression: {frame_linear(*place):.2%}", flush=True)


if __name__ == "__main__":
    main()
