"""Claim: HOG targets take one core less than 1/40 of scikit-image's time, frame by frame and colour by colour.

    python benchmarks/hog.py

Prints, for clips of two sizes, milliseconds a frame of three colours: of scikit-image, of MaskFeat's operations one by
one in torch (convolution, atan2, scatter), of our whole-batch operations, of our compiled kernel, and of a GPU where
there is one; and how many times as long scikit-image takes. All are measured in turns in one process on the same
frames; the median of five rounds counts. On the CPU this is the processor's time on one thread, so that other work on
the machine disturbs little; on a GPU it is the time until all is done. Last comes how far each lies from scikit-image
where both compute the same: the central difference of whole grey levels.
"""

from __future__ import annotations

import math
import os
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[name] = "1"  # before NumPy is loaded

ROOT = Path(__file__).resolve().parent.parent
if str(ROOT) not in sys.path:
    sys.path.insert(0, str(ROOT))

import numpy as np
import torch
from skimage.data import astronaut
from skimage.feature import hog as skimage_hog
from torch import Tensor
from torch.nn import functional as F

from stages.maskfeat.hog import hog, hog_batched
from stages.maskfeat.target_spec import Hog

SIZES = ((8, 64), (8, 224))
"""Frames (of one clip, every second one of 16) and their side."""
CLIPS = 4
ROUNDS = 5


@dataclass(frozen=True)
class Method:
    """run: float32 [frames, 3, S, S] -> [frames, 3, 9, S / 8, S / 8]; clock: seconds."""

    run: Callable[[Tensor], Tensor]
    clock: Callable[[], float] = time.process_time
    device: str = "cpu"


def scikit_image(frames: Tensor) -> Tensor:
    """Transposed, as MaskFeat measures angles from the vertical."""
    cells = [
        [
            skimage_hog(plane.T, 9, (8, 8), (1, 1), block_norm="L2", feature_vector=False)[:, :, 0, 0].transpose(
                2, 1, 0
            )
            for plane in frame
        ]
        for frame in frames.numpy()
    ]
    return torch.from_numpy(np.array(cells))


def one_by_one(frames: Tensor, kernel: tuple[tuple[float, ...], ...] = ((1, 0, -1), (2, 0, -2), (1, 0, -1))) -> Tensor:
    """The definition, as whole-batch operations that torch has."""
    n, colours, height, width = frames.shape
    weights = torch.tensor(kernel, dtype=frames.dtype, device=frames.device).expand(colours, 1, 3, 3)
    framed = F.pad(frames, (1, 1, 1, 1), mode="reflect")
    across, down = F.conv2d(framed, weights, groups=colours), F.conv2d(framed, weights.transpose(2, 3), groups=colours)
    bins = (torch.atan2(across, down) / math.pi * 9).floor().long() % 9
    votes = frames.new_zeros(n, colours, 9, height, width).scatter_(
        2, bins[:, :, None], torch.hypot(across, down)[:, :, None]
    )
    return F.normalize(64 * F.avg_pool2d(votes.flatten(1, 2), 8).unflatten(1, (colours, 9)), dim=2)


def whole_batch(frames: Tensor, spec: Hog = Hog()) -> Tensor:
    return hog_batched(frames.flatten(0, 1), spec).unflatten(0, frames.shape[:2])


def methods() -> dict[str, Method]:
    """What can run here, by name."""
    found = {
        "scikit-image": Method(scikit_image),
        "one by one": Method(one_by_one),
        "whole batch": Method(whole_batch),
        "compiled": Method(hog),
    }
    if torch.cuda.is_available():

        def until_done() -> float:
            torch.cuda.synchronize()
            return time.perf_counter()

        found["one by one, GPU"] = Method(one_by_one, until_done, "cuda")
        found["whole batch, GPU"] = Method(hog, until_done, "cuda")
    return found


def frames_of(count: int, size: int) -> Tensor:
    """Windows of a photo, normalised as for a network, float32 [count, 3, size, size]."""
    photo = torch.from_numpy(astronaut()).permute(2, 0, 1).float().div(255).sub(0.45).div(0.225)
    corners = np.random.default_rng(0).integers(0, 512 - size, (count, 2))
    return torch.stack([photo[:, y : y + size, x : x + size] for y, x in corners])


def measure(frames: int, size: int) -> None:
    """Print the table of one size."""
    batch = frames_of(frames * CLIPS, size)
    every = methods()
    given = {name: batch.to(method.device) for name, method in every.items()}
    for name, method in every.items():
        method.run(given[name][:1])  # compiles, and warms up
    times: dict[str, list[float]] = {name: [] for name in every}
    for _ in range(ROUNDS):
        for name, method in every.items():
            started = method.clock()
            method.run(given[name])
            times[name].append(1000 * (method.clock() - started) / len(batch))
    medians = {name: statistics.median(values) for name, values in times.items()}
    print(f"\n{CLIPS} clips of {frames} frames, {size} x {size}: {ROUNDS} rounds in turns")
    print(f"  {'':18}{'ms a frame':>12}{'scikit-image / it':>20}")
    for name, median in medians.items():
        print(f"  {name:18}{median:>12.4f}{medians['scikit-image'] / median:>20.1f}", flush=True)


def apart() -> None:
    """Print the largest difference to scikit-image on whole grey levels with its own kernel."""
    grey = torch.from_numpy(astronaut()[:224, :224].copy()).permute(2, 0, 1)[None].float()
    theirs, spec = scikit_image(grey), Hog(kernel="central")
    ours = {"compiled": hog(grey, spec), "whole batch": whole_batch(grey, spec)}
    if torch.cuda.is_available():
        ours["GPU"] = hog(grey.cuda(), spec).cpu()
    print("\nlargest difference to scikit-image, central kernel: ", end="")
    print(", ".join(f"{name} {(values - theirs).abs().max():.1e}" for name, values in ours.items()))


def main() -> None:
    torch.set_num_threads(1)
    card = torch.cuda.get_device_name() if torch.cuda.is_available() else "no GPU"
    print(f"{os.cpu_count()} cores, one used; {card}")
    for frames, size in SIZES:
        measure(frames, size)
    apart()


if __name__ == "__main__":
    main()
