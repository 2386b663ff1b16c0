"""A process that dies at a step of its work, for tests of what goes on afterwards."""

from __future__ import annotations

from pathlib import Path

from engine.run.checkpoint import Checkpoints


class Killed(Exception):
    pass


class Dying(Checkpoints):
    """Checkpoints of a process that dies after a step."""

    def __init__(self, folder: Path, every: int, at: int) -> None:
        super().__init__(folder, every)
        self.at = at

    def after_step(self, done, total, state, context) -> None:
        super().after_step(done, total, state, context)
        if done == self.at:
            raise Killed
