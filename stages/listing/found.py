"""What reading a data set's folder and split files yields, before it is judged."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from engine.errors import UserError
from stages.video.listing import Trouble


@dataclass(frozen=True)
class Entry:
    """A video that was named or found. path: posix, relative to the root; where: file:line that names it, or the path."""

    path: str
    label: str
    split: str
    group: str
    where: str


@dataclass
class Found:
    """entries; classes by target; troubles for problems.csv; errors that forbid to go on (each with file:line).

    named: how many videos the split files name; absent: file:line and path of those that are not there.
    """

    entries: list[Entry] = field(default_factory=list)
    classes: tuple[str, ...] = ()
    troubles: list[Trouble] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)
    named: int = 0
    absent: list[tuple[str, str]] = field(default_factory=list)

    def miss(self, where: str, path: str) -> None:
        """A split file names a video that is not there."""
        self.absent.append((where, path))
        self.troubles.append(Trouble(path, f"absent, but named in {where}"))

    def raise_errors(self, root: Path) -> None:
        """Raises UserError with all errors, if there are any. Their places are relative to the root."""
        if self.errors:
            raise UserError(listed(f"the data set in {root} has {len(self.errors)} errors:", self.errors))

    def remarks(self) -> list[str]:
        """A warning about what was passed over; absent videos have their own."""
        absent = {path for _, path in self.absent}
        others = sorted(t for t in self.troubles if t.path not in absent)
        others.sort(key=lambda trouble: "empty class" not in trouble.problem)
        first = "; ".join(f"{t.path}: {t.problem}" for t in others[:3])
        return (
            [f"{len(others)} remarks on files and folders (problems.csv); first: {first}"] if others else []
        )


def listed(title: str, lines: list[str], most: int = 50) -> str:
    """A message with one line for each item, and how many more there are."""
    more = [f"and {len(lines) - most} more"] if len(lines) > most else []
    return "\n  ".join([title, *lines[:most], *more])
