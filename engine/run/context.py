"""What a stage gets, and all that it gets: inputs by name, a folder for its outputs, logging, randomness, checkpoints."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Callable, Iterable, Iterator, Mapping, TypeVar

from engine.run.checkpoint import Checkpoints
from engine.run.local import Local
from engine.run.progress import Progress
from engine.track.record import Record

if TYPE_CHECKING:
    import numpy as np
    import torch

T = TypeVar("T")


@dataclass
class Context:
    """The world as one stage sees it.

    inputs: role -> folder (or file) of the stage that made it; a tuple of folders where a role has several.
    out: folder to write into; it appears under its final name only when the stage has ended well.
    """

    name: str
    seed: int
    inputs: Mapping[str, Path | tuple[Path, ...]]
    out: Path
    local: Local
    record: Record
    checkpoints: Checkpoints
    progress_bar: Progress = field(default_factory=Progress)
    rank: int = 0
    world: int = 1
    _curves: list[tuple[int, dict[str, float]]] = field(default_factory=list)

    # -- inputs ----------------------------------------------------------------------------------------------

    def input(self, role: str) -> Path:
        """The one folder of a role."""
        path = self.inputs[role]
        assert isinstance(path, Path), f"{role} has several inputs: use context.inputs[{role!r}]"
        return path

    @property
    def store(self) -> Path:
        """Folder for bulk shards, shared by all studies and kept between runs (see ``local.yaml``'s ``store``)."""
        return self.local.store_folder

    # -- machine ---------------------------------------------------------------------------------------------

    @cached_property
    def device(self) -> torch.device:
        """CUDA where there is one, unless ``local.yaml`` or ``VIDSPEC_DEVICE`` says otherwise."""
        import torch

        torch.backends.cudnn.benchmark = False
        torch.backends.cudnn.deterministic = True
        if self.local.determinism == "strict":
            torch.use_deterministic_algorithms(True)
        name = self.local.device
        return torch.device(("cuda" if torch.cuda.is_available() else "cpu") if name == "auto" else name)

    def workers(self, default: int) -> int:
        """Loader processes: the machine's choice, else ``default``."""
        return default if self.local.workers is None else self.local.workers

    # -- randomness: from names, never from order ----------------------------------------------------------------

    def seed_for(self, *names: str | int) -> int:
        """A 63-bit seed from the stage's seed, the stage's name and ``names`` (epoch, sample, ...)."""
        text = "\x1f".join(str(n) for n in (self.seed, self.name, *names))
        return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "big") >> 1

    def rng(self, *names: str | int) -> np.random.Generator:
        """A NumPy generator for one named purpose."""
        import numpy as np

        return np.random.default_rng(self.seed_for(*names))

    def torch_rng(self, *names: str | int) -> torch.Generator:
        """A CPU torch generator for one named purpose."""
        import torch

        return torch.Generator().manual_seed(self.seed_for(*names))

    # -- what is reported ----------------------------------------------------------------------------------------

    def log(self, step: int, **metrics: float) -> None:
        """A point of one or more curves. Deterministic values only: they become ``curves.csv``, an output."""
        values = {key: float(value) for key, value in metrics.items()}
        self._curves.append((step, values))
        self.record.log(step, values)

    def note(self, step: int, **values: float) -> None:
        """Like ``log`` for what differs from run to run (clips a second, memory): recorded, never an output."""
        self.record.log(step, {key: float(value) for key, value in values.items()})

    def picture(self, name: str, image: Any) -> Path:
        """Save a picture as ``pictures/<name>.png``: a matplotlib figure, a PIL image or a uint8 array [H, W, 3]."""
        from engine.run.pictures import save_picture

        path = save_picture(self.out / "pictures" / f"{name}.png", image)
        self.record.picture(path)
        return path

    def say(self, message: str) -> None:
        """A line for the person who watches."""
        self.progress_bar.line(message)
        self.record.message(message)

    def warn(self, message: str) -> None:
        """A warning: shown, and kept in the record."""
        self.progress_bar.line(f"warning: {message}")
        self.record.message(message, level="warning")

    def progress(
        self, items: Iterable[T], what: str, total: int | None = None, weigh: Callable[[T], int] | None = None
    ) -> Iterator[T]:
        """Iterate with a progress bar on a terminal, and a plain line now and then elsewhere.

        weigh: how much of ``total`` an item is, where they differ in size; 1 each by default.
        """
        return self.progress_bar.track(items, what, total, weigh=weigh)

    # -- long work -------------------------------------------------------------------------------------------------

    def steps(self, total: int, state: Mapping[str, Any], what: str = "training") -> Iterator[int]:
        """Yield the steps 0..total-1 of a training that can be killed at any moment and goes on to the same bits.

        state: name -> object with ``state_dict`` and ``load_state_dict`` (network, optimiser, queue, meters). It is
        restored from the newest checkpoint before the first step is yielded, and saved every
        ``checkpoint_steps`` and when the process is asked to stop. Torch's global generators are seeded anew
        before every step from (seed, stage, step), so that they need not be saved; data order and augmentation
        should be seeded the same way (``rng("augment", epoch, sample)``).
        """
        import torch

        first = self.checkpoints.restore(state, self)
        if first:
            self.say(f"goes on at step {first} of {total}")
        for step in self.progress_bar.track(range(first, total), what, total, first):
            torch.manual_seed(self.seed_for("step", step))
            yield step
            self.checkpoints.after_step(step + 1, total, state, self)

    def curves_state(self) -> list[tuple[int, dict[str, float]]]:
        return list(self._curves)

    def restore_curves(self, rows: list[tuple[int, dict[str, float]]]) -> None:
        self._curves = [(int(step), dict(values)) for step, values in rows]
        for step, values in self._curves:  # this execution's record is whole too
            self.record.log(step, values)

    def write_curves(self) -> None:
        """Write ``curves.csv`` (step and one column a metric, at most one row a step) if anything was logged."""
        import csv

        if not self._curves:
            return
        rows: dict[int, dict[str, float]] = {}
        for step, values in self._curves:
            rows.setdefault(step, {}).update(values)
        columns = sorted({key for values in rows.values() for key in values})
        with (self.out / "curves.csv").open("w", newline="") as file:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow(["step", *columns])
            for step, values in sorted(rows.items()):
                writer.writerow([step, *(repr(values[c]) if c in values else "" for c in columns)])
