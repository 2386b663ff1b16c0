"""Workers that crash or hang cost one video. A pipe that nobody writes to stands in for a file on which a decoder hangs."""

from __future__ import annotations

import errno
import multiprocessing
import os
import signal
import threading
import time
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from stages.clips.portions import MOST_VIDEOS, portions
from stages.clips.work import Item, Portion
from stages.video.checks import checks_folder, load_checks
from stages.video.shards import Packing, places
from stages.video.workers import do_all

RAW = Packing("raw", 144)


@pytest.fixture
def items(root: Path, tmp_path: Path) -> tuple[Item, ...]:
    """Two videos with a file between them that makes a reader wait for ever."""
    os.mkfifo(tmp_path / "hangs")
    names = [root / "run/a1.mp4", tmp_path / "hangs", root / "walk/t2.mp4"]
    return tuple(Item(p, d, p.stat().st_size, True) for p, d in zip(names, ("aa", "hh", "bb")))


def test_a_hanging_video(items, tmp_path):
    found = dict(do_all([Portion(items, tmp_path / "store", RAW)], workers=1, patience=2.0))
    assert {digest: checked.status for digest, checked in found.items()} == {
        "aa": "ok",
        "hh": "error",
        "bb": "ok",
    }
    assert "hangs" in found["hh"].problem
    # what the moment has done to a video is not kept; the others are checked and packed
    assert set(load_checks(checks_folder(tmp_path / "store"), found)) == {"aa", "bb"}
    assert set(places(tmp_path / "store", RAW, found)) == {"aa", "bb"}


def test_a_crash(items, tmp_path):
    """The worker is killed at the second file, and again when that is tried alone."""
    killed: set[int] = set()

    def kill_twice() -> None:
        while len(killed) < 2:
            for process in psutil.Process().children():
                if process.pid not in killed and "spawn_main" in " ".join(process.cmdline()):
                    killed.add(process.pid)
                    process.send_signal(signal.SIGSEGV)
                    break
            time.sleep(0.05)

    work = do_all([Portion(items, tmp_path / "store", RAW)], workers=1)
    found = dict([next(work)])
    killer = threading.Thread(target=kill_twice)
    killer.start()
    found.update(work)
    killer.join()
    assert {digest: checked.status for digest, checked in found.items()} == {
        "aa": "ok",
        "hh": "error",
        "bb": "ok",
    }
    assert found["hh"].problem == "the worker crashed on it (signal 11)"
    assert set(places(tmp_path / "store", RAW, found)) == {"aa", "bb"}


def test_a_worker_does_one_portion_after_another(items, tmp_path):
    work = do_all([Portion((item,), tmp_path / "store", RAW) for item in (items[0], items[2])], workers=1)
    seen = [(digest, checked.status, multiprocessing.active_children()) for digest, checked in work]
    assert [result[:2] for result in seen] == [("aa", "ok"), ("bb", "ok")]
    assert len({process.pid for _, _, processes in seen for process in processes}) == 1
    assert multiprocessing.active_children() == []


def test_a_run_that_was_suspended_goes_on(items, tmp_path):
    """As a cluster's scheduler does it: all processes are stopped, and wake up one after another."""
    many = tuple(replace(items[2], digest=str(number)) for number in range(150))  # it will not have done them all
    work = do_all([Portion((items[0], *many), tmp_path / "store", RAW)], workers=1, patience=3.0)
    found = dict([next(work)])
    (worker,) = (process for process in multiprocessing.active_children())
    os.kill(worker.pid, signal.SIGSTOP)
    time.sleep(4.0)
    threading.Timer(1.5, os.kill, (worker.pid, signal.SIGCONT)).start()
    found.update(work)
    assert worker.exitcode == 0
    assert len(found) == 151 and all(checked.status == "ok" for checked in found.values())


def test_errors_of_the_machine_are_not_blamed_on_a_video(items, tmp_path):
    store = tmp_path / "store"
    store.write_text("a file where the store should be")
    with pytest.raises(OSError) as caught:
        list(do_all([Portion(items[:1], store, RAW)], workers=1))
    assert caught.value.errno in (errno.EEXIST, errno.ENOTDIR)


def test_workers_end_with_an_interrupted_run(items, tmp_path):
    work = do_all([Portion(items, tmp_path / "store", RAW)], workers=1)
    assert next(work)[0] == "aa"
    work.close()
    assert multiprocessing.active_children() == []


def test_portions_keep_order_and_are_small(tmp_path):
    items = [Item(tmp_path / str(i), str(i), 1000, False) for i in range(5000)]
    parts = portions(items, tmp_path, None, workers=2)
    assert [item for part in parts for item in part.items] == items
    assert max(len(part.items) for part in parts) <= MOST_VIDEOS
    assert len(parts) >= 8
    huge = [Item(tmp_path / str(i), str(i), 10**9, False) for i in range(3)]
    assert [len(part.items) for part in portions(huge, tmp_path, None, 1)] == [1, 1, 1]
    assert portions([], tmp_path, None, 2) == []
