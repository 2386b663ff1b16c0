"""Processes that belong together end together."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time


def die_with_parent() -> None:
    """Let the kernel end this process when its parent dies (Linux; elsewhere nothing). For worker processes."""
    if sys.platform == "linux":
        import ctypes

        set_death_signal = 1
        ctypes.CDLL(None, use_errno=True).prctl(set_death_signal, signal.SIGKILL)


def stop_when_gone(pid: int, created: float, every: float = 1.0) -> None:
    """Watch another process (the ``dvc`` above this one) and send SIGTERM to this process when it is gone.

    DVC starts stages through a shell, which would outlive it: so the parent alone says nothing.
    """
    import psutil

    def watch() -> None:
        while True:
            time.sleep(every)
            try:
                if psutil.Process(pid).create_time() == created:
                    continue
            except psutil.Error:
                pass
            os.kill(os.getpid(), signal.SIGTERM)
            return

    threading.Thread(target=watch, name="watch-dvc", daemon=True).start()
