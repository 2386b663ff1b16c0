"""The background process that keeps MLflow up to date with the local records: one for each main checkout.

``python -m engine.track.mirror HOME`` is started by the first stage that needs it, looks every two seconds at what is
new, and ends by itself a little after everything has ended and been written. Training never waits for it.
"""

from __future__ import annotations

import fcntl
import os
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path
from typing import Iterator

from engine.errors import UserError
from engine.track.store import QUIET, Store, installed
from engine.track.sweep import Sweep

PAUSE = 2.0
LINGER = 15.0
"""Seconds without work after which the mirror ends: long enough for the next stage of a ``dvc repro``."""
PATIENCE = 900.0
"""Seconds without a reachable store after which it gives up, if no stage is running; the next start goes on."""
LOG_LIMIT = 1_000_000


def ensure_mirror(home: Path) -> bool:
    """Start the mirror of a main checkout unless it runs; returns whether it was started.

    Costs a millisecond or two, and never raises: without a mirror the records simply wait.
    """
    try:
        if not installed():
            return False
        with held(home, "mirror.lock", wait=False) as free:
            if not free:
                return False
        return _start(home)
    except OSError as error:
        print(f"warning: MLflow is not kept up to date ({error}); the local records are", file=sys.stderr)
        return False


def _start(home: Path) -> bool:
    # From the main checkout: that of an experiment is removed while the mirror still runs.
    ours = Path(__file__).resolve().parents[2]
    code = home if (home / "engine" / "track" / "mirror.py").exists() else ours
    log = home / ".vidspec" / "mirror.log"
    mode = "ab" if not log.exists() or log.stat().st_size < LOG_LIMIT else "wb"
    with log.open(mode) as output:
        subprocess.Popen(
            [sys.executable, "-m", "engine.track.mirror", str(home.resolve())],
            cwd=code,
            env={**os.environ, **{k: os.environ.get(k, v) for k, v in QUIET.items()}, "OMP_NUM_THREADS": "1"},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    return True


def sync(home: Path) -> int:
    """Bring MLflow up to date with the records, once, here and now; returns how many records had news.

    Raises UserError if MLflow is missing, the store cannot be reached, or a record could not be written.
    """
    if not installed():
        raise UserError("MLflow is not installed here: the records under .vidspec/runs wait until it is")
    store = Store(home)
    try:
        store.probe()
    except (
        Exception
    ) as error:  # whatever MLflow, its HTTP client or the data base raise: for a person it is one thing
        raise UserError(
            f"the MLflow store {store.uri} cannot be reached ({_line(error)}). The records under "
            f"{home / '.vidspec' / 'runs'} are kept, and are sent the next time; check MLFLOW_TRACKING_URI"
        ) from None
    with held(home, "mirror.pass.lock"):
        sweep = Sweep(home, store)
        sweep.once()
    if sweep.errors:
        record, error = next(iter(sweep.errors.items()))
        more = f" (and {len(sweep.errors) - 1} more)" if len(sweep.errors) > 1 else ""
        raise UserError(
            f"the record {record}{more} could not be written to the MLflow store {store.uri}: {_line(error)}"
        )
    return sweep.changed


def run(home: Path, pause: float = PAUSE, linger: float = LINGER, patience: float = PATIENCE) -> None:
    """Mirror until there is nothing left to do."""
    if hasattr(os, "nice"):
        os.nice(10)
    while True:
        with held(home, "mirror.lock", wait=False) as free:
            if not free:
                return
            sweep = _mirror(home, pause, linger, patience)
        # A stage that began after the last look, and found the lock still held, started no mirror.
        if sweep is None or not sweep.unseen():
            return


def _mirror(home: Path, pause: float, linger: float, patience: float) -> Sweep | None:
    """Look again and again until nothing moves; None when the store stayed away."""
    sweep = Sweep(home, Store(home))
    reached = busy = time.monotonic()
    wait = pause
    while True:
        try:
            sweep.store.probe()
            with held(home, "mirror.pass.lock"):
                sweep.once()
            reached, wait = time.monotonic(), pause
            if sweep.changed or sweep.live:
                busy = reached
        except (
            Exception
        ) as error:  # the store is away, in one of the many ways of MLflow, HTTP and data bases
            wait = min(2 * wait, 60.0)
            _say(f"{sweep.store.uri} cannot be reached ({_line(error)}); next try in {wait:.0f} s")
            sweep = Sweep(home, Store(home))
            if sweep.living():
                reached = time.monotonic()
            if time.monotonic() - reached > patience:
                _say("given up; the next stage or `vidspec` command goes on")
                return None
            busy = time.monotonic()
        for record, error in sweep.errors.items():
            _say(f"{record}: {_line(error)}")
        if time.monotonic() - busy > linger:
            return sweep
        time.sleep(wait)


@contextmanager
def held(home: Path, name: str, wait: bool = True) -> Iterator[bool]:
    """Hold a lock below ``.vidspec``; yields False at once if it is taken and ``wait`` is not wanted."""
    path = home / ".vidspec" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        except BlockingIOError:
            yield False
            return
        yield True


def _line(error: Exception) -> str:
    return f"{type(error).__name__}: {str(error).strip().splitlines()[0] if str(error).strip() else ''}"


def _say(text: str) -> None:
    print(f"{time.strftime('%Y-%m-%d %H:%M:%S')} {text}", flush=True)


if __name__ == "__main__":
    run(Path(sys.argv[1]))
