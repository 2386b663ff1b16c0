"""Milliseconds a pair of frames for TV-L1: scikit-image, OpenCV's DualTVL1 where it is installed, torch, and ours on one and two threads.

    python benchmarks/flow.py [VIDEO]         # a real clip; without one, UCF101's sample beside the checkout, or rendered frames

All are measured in turns, in one process, each several times, and the median counts: what else the machine does hits all alike. Prints the
ratios to ours on one core, and the mean end-point difference to scikit-image in pixels. scikit-image, OpenCV and torch get one thread.

What limits ours: with all rows in flight in the second-level cache it is arithmetic, not memory. A pixel and iteration cost four square
roots and four divisions, at eight lanes a vector some two thirds of the time; the rest is warping, which reads pixels one by one.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ[name] = "1"  # before NumPy is loaded

import numpy as np  # noqa: E402

ROOT = Path(__file__).resolve().parent.parent
if str(ROOT) not in sys.path:
    sys.path.insert(0, str(ROOT))

from stages.flow.tvl1 import tvl1_flow  # noqa: E402
from stages.video.flow_spec import Tvl1  # noqa: E402

SIZES = ((128, 171), (240, 320), (256, 340))
PAIRS = 8
Method = Callable[[np.ndarray], np.ndarray]


def frames_of(video: Path | None) -> np.ndarray:
    """RGB uint8 [PAIRS + 1, H, W, 3] from the middle of a video, or a textured plane that turns."""
    found = sorted((ROOT.parent / "shared" / "data" / "ucf101_sample").rglob("*.avi"))
    video = video or (found[0] if found else None)
    if video is None:
        y, x = np.mgrid[:256, :340] - 128.0
        turned = [(x * np.cos(a) + y * np.sin(a), y * np.cos(a) - x * np.sin(a)) for a in np.arange(PAIRS + 1) * 0.02]
        grey = [127 + 60 * np.sin(u / 5) * np.cos(v / 7) + 60 * np.sin(u / 17 + v / 11) for u, v in turned]
        return np.repeat(np.stack(grey).clip(0, 255).astype(np.uint8)[..., None], 3, axis=-1)
    import av

    with av.open(str(video)) as container:
        pictures = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
    first = (len(pictures) - PAIRS - 1) // 2
    print(f"frames {first} to {first + PAIRS} of {video.name}")
    return np.stack(pictures[first : first + PAIRS + 1])


def resized(frames: np.ndarray, height: int, width: int) -> np.ndarray:
    from PIL import Image

    return np.stack([np.asarray(Image.fromarray(frame).resize((width, height), Image.Resampling.BICUBIC)) for frame in frames])


def scikit_image(frames: np.ndarray) -> np.ndarray:
    from skimage.color import rgb2gray
    from skimage.registration import optical_flow_tvl1

    grey = [rgb2gray(frame).astype(np.float32) for frame in frames]
    return np.stack([np.stack(optical_flow_tvl1(a, b, dtype=np.float32)[::-1], -1) for a, b in zip(grey, grey[1:])])


def opencv(frames: np.ndarray) -> np.ndarray:
    import cv2

    cv2.setNumThreads(1)
    grey = [cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY) for frame in frames]
    solver = cv2.optflow.DualTVL1OpticalFlow_create()
    return np.stack([solver.calc(a, b, None) for a, b in zip(grey, grey[1:])])


def in_torch(frames: np.ndarray) -> np.ndarray:
    import torch

    from stages.flow.tvl1_torch import tvl1_flow_torch

    torch.set_num_threads(1)
    return tvl1_flow_torch(frames, Tvl1(), "cpu", memory_gb=1.0)


def methods() -> dict[str, tuple[Method, int]]:
    """Name -> function, and the pairs that it is measured on: fewer for the slow ones."""
    every: dict[str, tuple[Method, int]] = {"scikit-image": (scikit_image, 2)}
    try:
        import cv2

        if hasattr(cv2, "optflow"):
            every["OpenCV DualTVL1"] = (opencv, 2)
    except ImportError:
        print("OpenCV is not installed: pip install 'vidspec[flow]' to compare with its DualTVL1")
    every["torch, 1 thread"] = (in_torch, PAIRS)
    every["ours, 1 thread"] = (lambda frames: tvl1_flow(frames, Tvl1(), 1), PAIRS)
    every["ours, 2 threads"] = (lambda frames: tvl1_flow(frames, Tvl1(), 2), PAIRS)
    return every


def main() -> None:
    parser = argparse.ArgumentParser(description="Time TV-L1 optical flow.")
    parser.add_argument("video", type=Path, nargs="?")
    parser.add_argument("--runs", type=int, default=5, help="of each, in turns")
    arguments = parser.parse_args()
    original = frames_of(arguments.video)
    candidates = methods()
    for height, width in SIZES:
        frames = resized(original, height, width)
        reference = scikit_image(frames[:3])
        times: dict[str, list[float]] = {name: [] for name in candidates}
        apart = {}
        for name, (method, pairs) in candidates.items():  # the first call compiles, and is not timed
            apart[name] = np.linalg.norm(method(frames[: pairs + 1])[:2] - reference, axis=-1).mean()
        for _ in range(arguments.runs):
            for name, (method, pairs) in candidates.items():
                started = time.perf_counter()
                method(frames[: pairs + 1])
                times[name].append((time.perf_counter() - started) / pairs)
        print(f"\n{height} x {width}: median of {arguments.runs} runs in turns")
        medians = {name: statistics.median(values) for name, values in times.items()}
        print(f"  {'':18} {'ms a pair':>10} {'least':>8} {'ours 1 is':>10} {'ours 2 is':>10} {'px apart':>10}")
        for name, median in medians.items():
            ratios = [f"{median / medians[f'ours, {n}']:9.1f}x" for n in ("1 thread", "2 threads")]
            print(f"  {name:18} {1e3 * median:10.2f} {1e3 * min(times[name]):8.2f} {ratios[0]} {ratios[1]} {apart[name]:10.6f}")


if __name__ == "__main__":
    main()
