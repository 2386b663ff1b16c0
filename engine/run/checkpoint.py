"""Checkpoints of a running stage: atomic, outside DVC's outputs, removed when the stage has ended well."""

from __future__ import annotations

import os
import shutil
import signal
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any, Mapping

if TYPE_CHECKING:
    from engine.run.context import Context

KEEP = 2


class Stopped(SystemExit):
    """The process was asked to stop and has saved its state."""


class Checkpoints:
    """Saves and restores the state of ``Context.steps`` in ``folder``, which belongs to one stage file and its inputs."""

    def __init__(self, folder: Path | None, every: int = 100) -> None:
        self.folder = folder
        self.every = every
        self._signal: int | None = None

    def listen(self) -> None:
        """From now on SIGTERM and SIGINT save at the end of the step and stop; a second one stops at once."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._on_signal)

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        if self._signal is not None or not self._stepping:
            raise Stopped(128 + number)
        self._signal = number

    _stepping = False

    def restore(self, state: Mapping[str, Any], context: Context) -> int:
        """Load the newest readable checkpoint into ``state``; returns the number of steps it has done, or 0."""
        from pickle import UnpicklingError

        import torch

        self._stepping = True
        for path in reversed(self._saved()):
            try:
                saved = torch.load(path, map_location="cpu", weights_only=True)
            except (RuntimeError, EOFError, OSError, UnpicklingError) as error:
                context.warn(f"{path} cannot be read ({error}); an older checkpoint is used")
                continue
            for name, item in state.items():
                item.load_state_dict(saved["state"][name])
            context.restore_curves(saved["curves"])
            return int(saved["step"])
        return 0

    def after_step(self, done: int, total: int, state: Mapping[str, Any], context: Context) -> None:
        """Save when it is time or when the process was asked to stop; raises Stopped in the latter case."""
        if self._signal is not None or (done % self.every == 0 and done < total):
            self.save(done, state, context)
        if self._signal is not None:
            context.say(f"stopped after step {done} of {total}; the same command goes on from there")
            raise Stopped(128 + self._signal)
        if done == total:
            self._stepping = False

    def save(self, done: int, state: Mapping[str, Any], context: Context) -> None:
        """Write one checkpoint so that a kill at any moment leaves the old or the new one whole."""
        import torch

        if self.folder is None or context.rank != 0:
            return
        self.folder.mkdir(parents=True, exist_ok=True)
        path = self.folder / f"step-{done:09d}.pt"
        partial = path.with_suffix(".partial")
        with partial.open("wb") as file:
            torch.save(
                {
                    "step": done,
                    "state": {name: item.state_dict() for name, item in state.items()},
                    "curves": context.curves_state(),
                },
                file,
            )
            file.flush()
            os.fsync(file.fileno())
        os.replace(partial, path)
        for old in self._saved()[:-KEEP]:
            old.unlink(missing_ok=True)

    def clear(self) -> None:
        """Remove all checkpoints: the stage has published its outputs."""
        if self.folder is not None:
            shutil.rmtree(self.folder, ignore_errors=True)

    def _saved(self) -> list[Path]:
        return sorted(self.folder.glob("step-*.pt")) if self.folder is not None else []
