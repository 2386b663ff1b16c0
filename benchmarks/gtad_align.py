"""Claim: G-TAD's head keeps at most a tenth of the bytes for its backward pass that the map of 9216 channels alone has,
gives the same result as the form with that map, and is at least 5 times as fast on a CPU.

    python benchmarks/gtad_align.py [--snippets 100] [--features 512] [--videos 1] [--runs 3] [--device cpu]

Prints one JSON line: MB (10^6 bytes) kept between forward and backward by either form, and by the map of 9216
channels at L x L cells alone; seconds of a forward and backward pass, medians of runs in turns in one process;
ratios; and the largest differences of results and of gradients. The costly form is the tests' oracle: it samples with
one dense product, less than a tenth of its convolution's arithmetic, and neither form's sampling weights count as
kept.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import torch
from torch import Tensor

from stages.nn.activations import kept_bytes
from stages.tal.gtad import HeadOutput, build_gtad
from stages.tal.head_spec import Head
from tests.stages.tal.plain_head import map_sampling, map_then_convolution


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, default in (("snippets", 100), ("features", 512), ("videos", 1), ("runs", 3)):
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--device", default="cpu")
    given = parser.parse_args()

    device = torch.device(given.device)
    head = build_gtad(given.features, Head(), seed=0).to(device)
    weights = list(head.parameters())
    features = torch.randn(given.videos, given.features, given.snippets, generator=torch.Generator().manual_seed(0))
    features = features.to(device)
    samplings = [map_sampling(given.snippets, bins).to(device) for bins in head.align.bins]
    forms: dict[str, Callable[[], HeadOutput]] = {
        "ours": lambda: head(features),
        "map": lambda: map_then_convolution(head, features, samplings),
    }

    own = [features, *weights, *samplings]
    results: dict[str, HeadOutput] = {}
    gradients: dict[str, tuple[Tensor, ...]] = {}
    seconds: dict[str, list[float]] = {name: [] for name in forms}
    forms["ours"]()  # makes its table of samples, which later steps have
    kept = {name: kept_bytes(forward, own) for name, forward in forms.items()}
    for _ in range(given.runs):
        for name, forward in forms.items():
            started = _now(device)
            results[name] = forward()
            gradients[name] = torch.autograd.grad(sum(part.square().sum() for part in results[name]), weights)
            seconds[name].append(_now(device) - started)

    channels = head.align.weight.shape[0] * head.align.weight.shape[1]
    whole_map = 4 * given.videos * channels * given.snippets**2
    median = {name: statistics.median(times) for name, times in seconds.items()}
    figures = {
        "device": str(device), "threads": torch.get_num_threads(), "snippets": given.snippets, "videos": given.videos,
        "kept_mb": round(kept["ours"] / 1e6, 1), "map_form_kept_mb": round(kept["map"] / 1e6, 1),
        "map_alone_mb": round(whole_map / 1e6, 1), "map_alone_ratio": round(whole_map / kept["ours"], 1),
        "step_s": round(median["ours"], 3), "map_form_step_s": round(median["map"], 3),
        "time_ratio": round(median["map"] / median["ours"], 1),
        "largest_difference": _apart(results["ours"], results["map"]),
        "largest_gradient_difference": _apart(gradients["ours"], gradients["map"]),
        "largest_gradient": float(f"{max(part.abs().max().item() for part in gradients['map']):.2g}"),
    }  # fmt: skip
    print(json.dumps(figures))


def _now(device: torch.device) -> float:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter()


def _apart(ours: tuple[Tensor, ...], theirs: tuple[Tensor, ...]) -> float:
    return float(f"{max((one - other).abs().max().item() for one, other in zip(ours, theirs)):.1e}")


if __name__ == "__main__":
    main()
