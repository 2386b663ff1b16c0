"""Worker processes that may die: what crashes or hangs on one video costs that video, not the run."""

from __future__ import annotations

import contextlib
import multiprocessing
import time
import traceback
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any, NoReturn, Protocol

from engine.errors import UserError
from engine.run.processes import die_with_parent

PATIENCE = 300.0
"""Seconds in which a worker must start, or give a sign of life; else it counts as hanging."""

_BEAT = 1.0
_PAUSE = 3.0
"""Seconds between two looks at the workers beyond which this process has been stopped, and they perhaps with it."""


class Portion(Protocol):
    """Videos that one worker does in one go: a frozen dataclass that can be sent to a process."""

    items: tuple[Any, ...]
    store: Path

    def do(self, alive: Callable[[], None]) -> Iterator[tuple[str, Any]]:
        """Do all items in order; yields digest and result of each. Calls alive() while it works; publishes by itself."""
        ...

    def lost(self, item: Any, reason: str) -> tuple[str, Any]:
        """Digest and result of an item at which a worker died."""
        ...


@dataclass(frozen=True)
class Finished:
    """A worker has published its portion."""


@dataclass(frozen=True)
class Died:
    """A worker was ended by a crash of a library, or because it hung."""

    reason: str


@dataclass(frozen=True)
class Failed:
    """A worker ended by an error for which no video is to blame: of the user, of the machine (with its number), or of this program."""

    message: str
    errno: int | None = None
    users: bool = False

    def raise_here(self) -> NoReturn:
        if self.users:
            raise UserError(self.message)
        raise OSError(self.errno, self.message) if self.errno else RuntimeError(self.message)


@dataclass
class _Worker:
    """served: portions before this one. begun: it is at this one; done: videos of it. heard: when it last gave a sign of life."""

    process: BaseProcess
    pipe: Connection
    portion: Portion
    served: int = -1
    begun: bool = False
    done: int = 0
    heard: float = field(default_factory=time.monotonic)

    def take(self, portion: Portion) -> None:
        self.portion, self.begun, self.done, self.heard = portion, False, 0, time.monotonic()
        self.served += 1
        with contextlib.suppress(ConnectionError):  # it has died between two portions, as the next look at it will tell
            self.pipe.send(portion)

    def dismiss(self) -> None:
        self.pipe.close()
        self.process.join()


def do_all(
    portions: Sequence[Portion], workers: int, patience: float = PATIENCE
) -> Iterator[tuple[str, Any]]:
    """Do portions in ``workers`` processes (0: in this one); yields digest and result of videos as they come.

    A video at which a worker dies or hangs is tried once more alone, and then reported as an error; the rest of its
    portion is done again, so that a result may come twice. All is published when the iteration ends.
    Raises UserError or OSError where a worker met one (a full disk), RuntimeError for other errors.
    """
    if workers == 0:
        for portion in portions:
            yield from portion.do(lambda: None)
        return
    waiting, running = deque(portions), []
    looked = time.monotonic()
    try:
        while waiting or running:
            while waiting and len(running) < workers:
                running.append(_start(waiting.popleft()))
            wait([w.pipe for w in running], timeout=_BEAT)
            before, looked = looked, time.monotonic()
            for worker in list(running):
                if looked - before > _PAUSE:
                    worker.heard = looked
                results, end = _listen(worker, patience)
                yield from results
                if end is None:
                    continue
                if isinstance(end, Finished) and waiting:
                    worker.take(waiting.popleft())
                    continue
                running.remove(worker)
                if isinstance(end, Finished):
                    worker.dismiss()
                elif worker.served and not worker.begun:
                    waiting.appendleft(worker.portion)  # no video of it has had to do with this
                else:
                    culprit, again = _without_culprit(worker, end)
                    waiting.extendleft(again)
                    yield from culprit
    finally:
        for worker in running:
            worker.process.kill()
            worker.process.join()


def _start(portion: Portion) -> _Worker:
    # spawned, not forked: the parent has threads (logging, tracking), and a fork would copy their locks
    context = multiprocessing.get_context("spawn")
    pipe, end = context.Pipe()
    process = context.Process(target=_work, args=(end,), daemon=True)
    process.start()
    end.close()
    worker = _Worker(process, pipe, portion)
    worker.take(portion)
    return worker


def _listen(worker: _Worker, patience: float) -> tuple[list[tuple[str, Any]], Finished | Died | None]:
    """Results that a worker has sent since the last call, and its end, or None while it is at work."""
    results: list[tuple[str, Any]] = []
    try:
        while worker.pipe.poll():
            message = worker.pipe.recv()
            worker.begun, worker.heard = True, time.monotonic()
            if isinstance(message, Failed):
                message.raise_here()
            if isinstance(message, Finished):
                return results, message
            if message is not None:
                worker.done += 1
                results.append(message)
    except (EOFError, ConnectionError):
        worker.process.join()
        code = worker.process.exitcode
        return results, Died(
            f"the worker crashed on it ({f'signal {-code}' if code < 0 else f'exit code {code}'})"
        )
    if time.monotonic() - worker.heard > (patience if worker.begun else PATIENCE):
        worker.process.kill()
        worker.process.join()
        return results, Died(f"the worker hangs on it (no sign of life in {patience:.0f} s)")
    return results, None


def _without_culprit(worker: _Worker, end: Died) -> tuple[list[tuple[str, Any]], list[Portion]]:
    """Split the portion of a dead worker into the video it died of, and the others, which were not published."""
    items, at = worker.portion.items, min(worker.done, len(worker.portion.items) - 1)
    if len(items) == 1:
        return [worker.portion.lost(items[0], end.reason)], []
    parts = items[:at] + items[at + 1 :], (items[at],)
    return [], [replace(worker.portion, items=part) for part in parts]


def _work(pipe: Connection) -> None:
    """The life of a worker: portions come through the pipe one after another, until the other end is closed."""
    die_with_parent()
    while True:
        try:
            portion = pipe.recv()
        except EOFError:
            return
        pipe.send(_do_one(pipe, portion))


def _do_one(pipe: Connection, portion: Portion) -> Finished | Failed:
    beat = time.monotonic()

    def alive() -> None:
        nonlocal beat
        if time.monotonic() - beat > _BEAT:
            beat = time.monotonic()
            pipe.send(None)

    try:
        pipe.send(None)  # it has begun
        for result in portion.do(alive):
            pipe.send(result)
        return Finished()
    except OSError as error:
        return Failed(f"{error.filename or portion.store}: {error.strerror}", error.errno)
    except UserError as error:
        return Failed(str(error), users=True)
    except Exception:  # noqa: BLE001 - it is raised again in the parent
        return Failed(traceback.format_exc())
