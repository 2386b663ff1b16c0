"""Claim: TV-L1 takes one core at most 1/24 of scikit-image's time and 1/30 of OpenCV's; two, 1/44 of scikit-image's.

    python benchmarks/flow.py [VIDEO ...]     # default: a real clip beside the checkout, or frames rendered here

Prints, for three sizes, milliseconds a pair of frames of scikit-image, OpenCV's DualTVL1 (where it is installed), our
torch backend and our kernels; how many times as long each takes as ours; and the mean end-point difference, in pixels,
to what the method is to equal. All are measured in turns in one process on the same frames, and the median of five runs
counts, so that what else the machine does hits all alike. All but "2 threads" have one thread. Takes some three minutes.

What limits ours is arithmetic. An iteration of scikit-image's whole-array operations moves about a kilobyte a pixel
through memory. Ours keeps all rows in flight in the second-level cache and moves 80 bytes a pixel once for all ten
iterations of a warp; pictures that fit the first-level cache are no faster. An iteration has four square roots and four
divisions a pixel: on Zen 3 their unit alone is busy for 34 of the 66 cycles that eight pixels take; loads, stores and
the shift by one pixel in the divergence are the rest. Estimates refined by a Newton step (rsqrt, rcp) are slower: more
instructions in a longer chain. Of a pair's time iterations are 85 %, warping is 6 %, the pyramids are 2 %.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[name] = "1"  # before NumPy is loaded

ROOT = Path(__file__).resolve().parent.parent
if str(ROOT) not in sys.path:
    sys.path.insert(0, str(ROOT))

import numpy as np
from PIL import Image

from stages.flow.dual_tvl1 import dual_tvl1_flow
from stages.flow.tvl1 import tvl1_flow
from stages.video.flow_spec import DualTvl1, Tvl1

SIZES = ((128, 171), (240, 320), (256, 340))
PAIRS = 4
RUNS = 5
SAMPLES = ROOT.parent / "shared" / "data" / "ucf101_sample"


@dataclass(frozen=True)
class Method:
    """run: frames uint8 [T, H, W, 3] RGB -> flow float32 [T - 1, H, W, 2]. like: the method that it is to equal."""

    run: Callable[[np.ndarray], np.ndarray]
    like: str = ""


def methods() -> dict[str, Method]:
    """What can run here, by name."""
    found = {"scikit-image": Method(scikit_image)}
    if open_cv_is_here():
        found["OpenCV DualTVL1"] = Method(open_cv)
    found |= {
        "torch": Method(in_torch, "scikit-image"),
        "ours": Method(lambda frames: tvl1_flow(frames, Tvl1(), 1), "scikit-image"),
        "ours, 2 threads": Method(lambda frames: tvl1_flow(frames, Tvl1(), 2), "scikit-image"),
        "ours, dual_tvl1": Method(
            lambda frames: dual_tvl1_flow(frames, DualTvl1(kind="dual_tvl1"), 1), "OpenCV DualTVL1"
        ),
    }
    return found


def scikit_image(frames: np.ndarray) -> np.ndarray:
    from skimage.color import rgb2gray
    from skimage.registration import optical_flow_tvl1

    greys = [rgb2gray(frame) for frame in frames]
    fields = [optical_flow_tvl1(one, two, dtype=np.float32) for one, two in pairwise(greys)]
    return np.stack([np.stack([u, v], axis=-1) for v, u in fields])


def open_cv_is_here() -> bool:
    try:
        import cv2
    except ImportError:
        return False
    return hasattr(cv2, "optflow")


def open_cv(frames: np.ndarray) -> np.ndarray:
    import cv2

    cv2.setNumThreads(1)
    greys = [cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY) for frame in frames]
    solver = cv2.optflow.DualTVL1OpticalFlow_create()
    return np.stack([solver.calc(one, two, None) for one, two in pairwise(greys)])


def in_torch(frames: np.ndarray) -> np.ndarray:
    import torch

    from stages.flow.tvl1_torch import tvl1_flow_torch

    torch.set_num_threads(1)
    return tvl1_flow_torch(frames, Tvl1(), "cpu", memory_gb=1.0)


def read_frames(video: Path) -> np.ndarray:
    """RGB uint8 [PAIRS + 1, H, W, 3] from the middle of a video."""
    import av

    with av.open(str(video)) as container:
        pictures = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
    if len(pictures) <= PAIRS:
        sys.exit(f"{video} has {len(pictures)} frames; {PAIRS + 1} are needed")
    first = (len(pictures) - PAIRS - 1) // 2
    return np.stack(pictures[first : first + PAIRS + 1])


def rendered_frames() -> np.ndarray:
    """The same of a textured plane that turns."""
    y, x = np.mgrid[:256, :340] - 128.0
    angles = 0.02 * np.arange(PAIRS + 1)
    turned = [(x * np.cos(a) + y * np.sin(a), y * np.cos(a) - x * np.sin(a)) for a in angles]
    grey = [127 + 60 * np.sin(u / 5) * np.cos(v / 7) + 60 * np.sin(u / 17 + v / 11) for u, v in turned]
    return np.repeat(np.stack(grey).clip(0, 255).astype(np.uint8)[..., None], 3, axis=-1)


def resized(frames: np.ndarray, height: int, width: int) -> np.ndarray:
    if frames.shape[1:3] == (height, width):
        return frames
    resample = Image.Resampling.BICUBIC
    return np.stack(
        [np.asarray(Image.fromarray(frame).resize((width, height), resample)) for frame in frames]
    )


def measure(frames: np.ndarray) -> None:
    """Print the table of one size."""
    every = methods()
    flows = {name: method.run(frames) for name, method in every.items()}  # compiles, and warms up
    times: dict[str, list[float]] = {name: [] for name in every}
    for _ in range(RUNS):
        for name, method in every.items():
            started = time.perf_counter()
            method.run(frames)
            times[name].append(1000 * (time.perf_counter() - started) / PAIRS)
    medians = {name: statistics.median(values) for name, values in times.items()}
    print(f"\n{frames.shape[1]} x {frames.shape[2]}: {RUNS} runs in turns, {PAIRS} pairs")
    columns = ("ms a pair", "one run", "/ ours", "/ 2 threads", "px apart")
    print(f"  {'':18}" + "".join(f"{column:>12}" for column in columns))
    for name, median in medians.items():
        ratios = [f"{median / medians[ours]:.1f}" for ours in ("ours", "ours, 2 threads")]
        like = flows.get(every[name].like)
        apart = f"{np.linalg.norm(flows[name] - like, axis=-1).mean():.6f}" if like is not None else "-"
        cells = (f"{median:.2f}", f"{times[name][0]:.2f}", *ratios, apart)
        print(f"  {name:18}" + "".join(f"{cell:>12}" for cell in cells), flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("video", type=Path, nargs="*")
    videos = parser.parse_args().video or sorted(SAMPLES.rglob("*.avi"))[:1]
    if not open_cv_is_here():
        print("OpenCV's optflow is not installed: pip install 'vidspec[flow]' to compare with its DualTVL1")
    for title, frames in [(video.name, read_frames(video)) for video in videos] or [
        ("rendered", rendered_frames())
    ]:
        print(f"\n{title}, {os.cpu_count()} cores")
        for size in SIZES:
            measure(resized(frames, *size))


if __name__ == "__main__":
    main()
