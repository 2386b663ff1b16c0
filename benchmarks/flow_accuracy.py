"""Claim: on pairs with known flow our TV-L1 errs as much as scikit-image's, and our DualTVL1 as much as OpenCV's.

    python benchmarks/flow_accuracy.py                      # the shared pairs; about a minute on one core
    python benchmarks/flow_accuracy.py --data FOLDER        # a folder for each pair: img0.*, img1.*, flow.flo

Prints the mean end-point error in pixels of each method on each pair, and a JSON line with the means over the pairs.
A method that needs something that is not installed has a dash. `no flow` is the length of the true flow.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
if str(ROOT) not in sys.path:
    sys.path.insert(0, str(ROOT))

import numpy as np
from PIL import Image

from engine.errors import UserError
from engine.run.local import Local
from stages.flow.backends import open_backend
from stages.flow.dis import open_cv
from stages.flow.flo import UNKNOWN, read_flo
from stages.video.flow_spec import Dis, DualTvl1, Tvl1

DATA = ROOT.parent / "shared" / "data" / "flow"

Method = Callable[[np.ndarray], np.ndarray]
"""Two frames uint8 [2, H, W, 3] RGB -> flow [1, H, W, 2]."""


@dataclass(frozen=True)
class Pair:
    """frames: uint8 [2, H, W, 3] RGB. truth: float32 [H, W, 2], unknown vectors beyond ``UNKNOWN``."""

    name: str
    frames: np.ndarray
    truth: np.ndarray

    def crop(self, height: int, width: int) -> Pair:
        """The middle of it."""
        top, left = (max((have - want) // 2, 0) for have, want in zip(self.truth.shape, (height, width)))
        window = (slice(top, top + height), slice(left, left + width))
        return Pair(self.name, self.frames[:, *window], self.truth[window])


def read_pairs(folder: Path) -> Iterator[Pair]:
    """The pairs below ``folder``, by name."""
    for path in sorted(folder.glob("*/flow.flo")):
        pictures = (Image.open(next(path.parent.glob(f"img{i}.*"))).convert("RGB") for i in range(2))
        yield Pair(path.parent.name, np.stack([np.asarray(picture) for picture in pictures]), read_flo(path))


def end_point_error(flow: np.ndarray, truth: np.ndarray) -> float:
    """Mean length of the difference of two fields [H, W, 2], in pixels, where the truth is known."""
    known = (np.abs(truth) < UNKNOWN).all(-1)
    return float(np.linalg.norm(flow[known].astype(np.float64) - truth[known], axis=-1).mean())


def scikit_image(frames: np.ndarray) -> np.ndarray:
    """The reference of our TV-L1."""
    from skimage.color import rgb2gray
    from skimage.registration import optical_flow_tvl1

    v, u = optical_flow_tvl1(*rgb2gray(frames))
    return np.stack([u, v], axis=-1)[None]


def open_cv_dual_tvl1() -> Method:
    """OpenCV's DualTVL1 with its defaults, on grey frames. Raises UserError when the contrib package is missing."""
    cv2 = open_cv()
    if not hasattr(cv2, "optflow"):
        raise UserError("OpenCV has no optflow: pip install opencv-contrib-python-headless")

    def run(frames: np.ndarray) -> np.ndarray:
        greys = [cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY) for frame in frames]
        return cv2.optflow.DualTVL1OpticalFlow_create().calc(*greys, None)[None]

    return run


def methods() -> dict[str, Method | None]:
    """Methods by name; None where something is missing."""
    openers: dict[str, Callable[[], Method]] = {
        "no flow": lambda: lambda frames: np.zeros((1, *frames.shape[1:3], 2), np.float32),
        "scikit-image": lambda: scikit_image,
        "ours, tvl1": lambda: open_backend(Tvl1(), "cpu", Local(), threads=1),
        "ours, dual_tvl1": lambda: open_backend(DualTvl1(kind="dual_tvl1"), "cpu", Local(), threads=1),
        "OpenCV DualTVL1": open_cv_dual_tvl1,
        "OpenCV DIS": lambda: open_backend(Dis(kind="dis"), "cpu", Local(), threads=1),
    }
    found: dict[str, Method | None] = {}
    for name, opener in openers.items():
        try:
            found[name] = opener()
        except UserError as reason:
            print(f"{name}: {reason}", file=sys.stderr)
            found[name] = None
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=DATA, help="folder of pairs")
    pairs = list(read_pairs(parser.parse_args().data))
    if not pairs:
        sys.exit(f"no pairs with flow in {parser.parse_args().data}: name a folder of them with --data")
    errors: dict[str, list[float]] = {}
    print(" ".join(f"{text:>16}" for text in ("mean EPE, px", *(pair.name for pair in pairs), "mean")))
    for name, method in methods().items():
        errors[name] = [end_point_error(method(pair.frames)[0], pair.truth) for pair in pairs] if method else []
        cells = [f"{error:.3f}" for error in (*errors[name], np.mean(errors[name]))] if method else ["-"]
        print(" ".join(f"{text:>16}" for text in (name, *cells)), flush=True)
    print(json.dumps({name: round(float(np.mean(found)), 4) for name, found in errors.items() if found}))


if __name__ == "__main__":
    main()
