"""Processes that belong together end together."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time

from engine.track.repro import alive


def die_with_parent() -> None:
    """Let the kernel end this process when its parent dies (Linux; elsewhere nothing). For worker processes."""
    if sys.platform == "linux":
        import ctypes

        set_death_signal = 1
        ctypes.CDLL(None, use_errno=True).prctl(set_death_signal, signal.SIGKILL)


def stop_when_gone(pid: int, began: str, every: float = 1.0) -> None:
    """Watch another process (the ``dvc`` above this one) and send SIGTERM to this process when it is gone.

    began: as ``engine.track.repro.started`` says. DVC starts stages through a shell, which would outlive it: so the
    parent alone says nothing.
    """

    def watch() -> None:
        while alive(pid, began):
            time.sleep(every)
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=watch, name="watch-dvc", daemon=True).start()
