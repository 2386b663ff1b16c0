"""Goals: a step of a CoCLR half-cycle 2.3 times as fast as the paper's way of it, loading 4 times; mining at most 3 %.

    python benchmarks/training_step.py [--encoder s3d narrow] [--frames 16] [--size 64] [--batch 8] [--steps 6]

For each encoder it runs the coclr stage itself, with a stopwatch in it, in turns with a plain implementation that works
as the public code does (``plain_coclr.py``; in a process of its own, which has none of our settings), on the same clips
with the same crops and colours. It prints steps a second, medians, the ratio, and where ours spends its time;
``mining`` is what it takes beyond the frozen network's forward pass. Then the loaders alone, on frames packed raw, and
as JPEG (as the plain ones always are). Batches are made in the step's own time, so that neither works while the other
has its turn.

Seen on two Zen 5 cores with bf16 units, otherwise idle, two threads, on two days: s3d 2.8 and 3.4, without data 2.4
and 3.0; narrow 4.9 and 5.2; loading 10 to 12 times as fast raw, 4.7 JPEG; mining 0.2 to 1.1 %. On two Zen 3 cores
that others used too (no bf16 units, so fp32; CPU time of one thread agrees): s3d 2.05, and 1.7 to 1.85 without data,
which misses the goal; narrow 3.5; loading 9 to 12 raw, 3.8 to 4.0 JPEG; mining 0.1 to 0.6 %. In fp32 s3d has little
left to give: ours reached 70 to 80 % of the rate of large matrix products.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
if str(ROOT) not in sys.path:
    sys.path.insert(0, str(ROOT))

import torch

from benchmarks.coclr_laps import PARTS, run_with_laps
from benchmarks.packed_clips import pack
from benchmarks.plain_coclr import PlainInTurns, PlainPairs, Recipe
from engine.run.local import Local
from stages.coclr.spec import Config, HalfCycle
from stages.nn.cost import encoder_cost
from stages.nn.precision import numbers
from stages.nn.spec import Encoder, Narrow, Torchvision
from stages.video.flow_spec import Flow
from stages.video.loader import Epochs, Pairs
from stages.video.spec import Clip, Rgb
from stages.video.transforms import normalise
from stages.video.views import ViewReader

ENCODERS: dict[str, Encoder] = {"s3d": Torchvision(kind="s3d"), "narrow": Narrow(kind="narrow", width=16)}
Clock = Callable[[], float]
CLOCKS: dict[str, Clock] = {"wall": time.perf_counter, "cpu": time.process_time}
VIDEOS = 32
WARM_UP = 2
"""Steps at the start that do not count."""


def step_figures(encoder: Encoder, given: argparse.Namespace, device: torch.device) -> dict[str, list[float]]:
    """Seconds of each step: ours whole (``ours``) and by part, and the plain one's ``plain`` and ``plain data``.

    ``matrix rate`` is no time, see ``matrix_rate``.
    """
    clip = Clip(frames=given.frames, size=given.size)
    config = Config(
        view_name="rgb", view=Rgb(), other_name="flow", other=Flow(kind="flow"), clip=clip, encoder=encoder,
        schedule=HalfCycle(epochs=-(-(given.steps + WARM_UP) * given.batch // VIDEOS), batch=given.batch),
        queue=given.queue, fill="train",
    )  # fmt: skip
    with tempfile.TemporaryDirectory() as scratch:
        clips, flows = pack(Path(scratch, "store"), "raw", VIDEOS, 2 * clip.frames, given.stored)
        recipe = Recipe(
            clips, flows, clip, given.batch, encoder, config.dim, config.queue, config.temperature, config.momentum,
            config.topk, device.type, torch.get_num_threads(), CLOCKS[given.clock],
        )  # fmt: skip
        theirs: list[tuple[float, float]] = []
        rates: list[float] = []
        local = Local(device=device.type, workers=0)
        with PlainInTurns(recipe) as plain:

            def turn(step: int) -> None:
                theirs.append(plain.step(step))
                rates.append(matrix_rate(device, CLOCKS[given.clock]))

            steps = run_with_laps(config, clips, flows, Path(scratch), local, turn, CLOCKS[given.clock])[WARM_UP:]
    ours = {"ours": [sum(step.values()) for step in steps]} | {part: [s[part] for s in steps] for part in PARTS}
    plain_whole, plain_data = zip(*theirs[WARM_UP:])
    return ours | {"plain": list(plain_whole), "plain data": list(plain_data), "matrix rate": rates}


def matrix_rate(device: torch.device, clock: Clock, side: int = 1024, products: int = 4) -> float:
    """Operations a second of fp32 products of large square matrices: what a step could reach at best in fp32."""
    a, b = torch.rand(2, side, side, device=device)
    started = clock()
    for _ in range(products):
        b = a @ b / side
    b.sum().item()  # which waits for the device
    return products * 2 * side**3 / (clock() - started)


def network_operations(encoder: Encoder, given: argparse.Namespace) -> float:
    """Of a step: forward and backward (twice a forward) of the query, forward of key and miner."""
    return 5 * given.batch * encoder_cost(encoder, 3, Clip(frames=given.frames, size=given.size)).forward_flops


def print_steps(name: str, given: argparse.Namespace, device: torch.device) -> None:
    figures = step_figures(ENCODERS[name], given, device)
    ours, plain = (statistics.median(figures[which]) for which in ("ours", "plain"))
    data, plain_data = (statistics.median(figures[which]) for which in ("data", "plain data"))
    shape = f"{given.batch} clips of {given.frames} x {given.size} x {given.size}"
    print(f"\n{name}, {shape}, {len(figures['ours'])} steps in turns")
    for who, whole, loading in (("ours", ours, data), ("plain", plain, plain_data)):
        bare = f"{1000 * (whole - loading):8.1f} of them without data"
        print(f"  {who:5} {1 / whole:8.3f} steps/s  {1000 * whole:8.1f} ms a step, {bare}")
    print(f"  ratio {plain / ours:8.2f}; without data {(plain - plain_data) / (ours - data):.2f}")
    operations = network_operations(ENCODERS[name], given)
    rates = [operations / (ours - data), operations / (plain - plain_data), statistics.median(figures["matrix rate"])]
    mine, theirs, best = (f"{rate / 1e9:.0f}" for rate in rates)
    print(f"  without data {mine} GFLOP/s ours, {theirs} plain; large fp32 matrix products {best}")
    whole = sum(figures["ours"])
    print("  ours: " + ", ".join(f"{part} {sum(figures[part]) / whole:.1%}" for part in PARTS), flush=True)


def print_loaders(given: argparse.Namespace) -> None:
    clip = Clip(frames=given.frames, size=given.size)
    height, width = given.stored
    print(f"\nloaders: samples of {clip.frames} x {clip.size} x {clip.size} from frames of {height} x {width}")
    for kind in ("raw", "jpeg"):
        with tempfile.TemporaryDirectory() as scratch:
            clips, flows = pack(Path(scratch), kind, VIDEOS, 2 * clip.frames, given.stored)
            epochs = Epochs(clips.split("train"), given.batch, 0)
            plain = PlainPairs(clips, flows, clip, epochs, seed=0)
            ours = Pairs(ViewReader(Rgb(), clips), clip, epochs, 0, other=ViewReader(Flow(kind="flow"), clips, flows))
            loaders: dict[str, Callable[[int], object]] = {"ours": partial(ready, ours), "plain": plain.__getitem__}
            times = in_turns(loaders, given.steps, CLOCKS[given.clock])
        ms = {name: 1000 * statistics.median(seconds) / given.batch for name, seconds in times.items()}
        ratio = f"{ms['plain'] / ms['ours']:.1f} times as long"
        print(f"  packed {kind:5} ours {ms['ours']:6.2f} ms a sample, plain {ms['plain']:6.2f}: {ratio}")


def ready(pairs: Pairs, step: int) -> tuple[torch.Tensor, ...]:
    """A batch as the networks get it: with its colours, normalised, laid out."""
    how, cpu = numbers("auto", torch.device("cpu")), torch.device("cpu")
    batch = pairs[step]
    sides = (how.lay_out(normalise(clips, Rgb())) for clips in batch.coloured(cpu))
    return *sides, how.lay_out(normalise(batch.coloured_other(cpu), Flow(kind="flow")))


def in_turns(work: dict[str, Callable[[int], object]], steps: int, clock: Clock) -> dict[str, list[float]]:
    """Seconds of every call, one of each in turn, after one that warms up."""
    times: dict[str, list[float]] = {name: [] for name in work}
    for step in range(steps + 1):
        for name, call in work.items():
            started = clock()
            call(step)
            times[name].append(clock() - started)
    return {name: seconds[1:] for name, seconds in times.items()}


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--encoder", nargs="+", choices=tuple(ENCODERS), default=list(ENCODERS))
    parser.add_argument("--frames", type=int, default=16)
    parser.add_argument("--size", type=int, default=64)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--queue", type=int, default=2048)
    parser.add_argument("--steps", type=int, default=6, help="that count, each in turn with a plain one")
    parser.add_argument("--stored", type=int, nargs=2, default=(144, 192), help="height and width of the stored frames")
    parser.add_argument("--threads", type=int, help="CPU threads; all cores by default, as in a stage")
    parser.add_argument(
        "--clock", choices=tuple(CLOCKS), default="wall",
        help="cpu: each process's own time, for a machine that others use too; with --threads 1 only",
    )  # fmt: skip
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    given = parser.parse_args()
    if given.clock == "cpu" and (given.threads != 1 or given.device != "cpu"):
        parser.error("--clock cpu measures one thread on a CPU: add --threads 1 --device cpu")
    return given


def main() -> None:
    given = arguments()
    if given.threads:
        torch.set_num_threads(given.threads)
    device = torch.device(given.device)
    precision = "bf16" if numbers("auto", device).bf16 else "fp32"
    threads = f"{device.type}, {torch.get_num_threads()} threads, torch {torch.__version__}"
    print(f"{threads}, {precision} by `precision: auto`, {given.clock} time")
    for name in given.encoder:
        print_steps(name, given, device)
    print_loaders(given)


if __name__ == "__main__":
    main()
