"""Progress of long work: a bar on a terminal, a plain line every few seconds elsewhere."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING, Callable, Iterable, Iterator, Sized, TypeVar

if TYPE_CHECKING:
    from rich.progress import ProgressColumn, Task

T = TypeVar("T")
Weigh = Callable[[T], int]


def _one(item: object) -> int:
    return 1


class Progress:
    """Shows how far a loop is, how fast it goes and when it will be done."""

    def __init__(self, every: float = 10.0) -> None:
        self.every = every
        self._live = None

    def line(self, message: str) -> None:
        """Print a line without disturbing the bar."""
        if self._live is not None:
            self._live.console.print(message, markup=False, highlight=False)
        else:
            print(message, file=sys.stderr, flush=True)

    def track(
        self, items: Iterable[T], what: str, total: int | None = None, done: int = 0, weigh: Weigh | None = None
    ) -> Iterator[T]:
        """Yield from ``items``; ``done`` of ``total`` were finished before. weigh: how much of the total an item is; 1 by default."""
        weigh = weigh or _one
        if total is None and isinstance(items, Sized):
            total = len(items)
        if sys.stderr.isatty() and self._live is None:
            yield from self._bar(items, what, total, done, weigh)
        else:
            yield from self._plain(items, what, total, done, weigh)

    def _bar(self, items: Iterable[T], what: str, total: int | None, done: int, weigh: Weigh) -> Iterator[T]:
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), _rate(), TimeRemainingColumn())
        with Progress(*columns, console=Console(stderr=True), transient=True) as live:
            self._live = live
            task = live.add_task(what, total=total, completed=done)
            try:
                for item in items:
                    yield item
                    live.advance(task, weigh(item))
            finally:
                self._live = None

    def _plain(self, items: Iterable[T], what: str, total: int | None, done: int, weigh: Weigh) -> Iterator[T]:
        start = last = time.monotonic()
        count = 0
        for item in items:
            yield item
            count += weigh(item)
            now = time.monotonic()
            if now - last >= self.every:
                last = now
                rate = count / (now - start)
                of = f"/{total}" if total else ""
                left = f", {max(total - done - count, 0) / rate:.0f} s left" if total else ""
                print(f"{what}: {done + count}{of} ({rate:.3g}/s{left})", file=sys.stderr, flush=True)


def _rate() -> ProgressColumn:
    from rich.progress import ProgressColumn
    from rich.text import Text

    class Rate(ProgressColumn):
        """Items a second, once there is a speed to tell."""

        def render(self, task: Task) -> Text:
            speed = task.finished_speed or task.speed
            return Text(f"{speed:.3g}/s" if speed else "")

    return Rate()
