"""``vidspec doctor``: is this machine ready? One line a check, with what to do where something is wrong."""

from __future__ import annotations

import importlib.util
import os
import shutil
import sys
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Iterator, Literal

from engine.errors import UserError
from engine.run.home import home
from engine.run.local import load_local, root_variable

Verdict = Literal["ok", "note", "bad"]
GIB = 2**30


@dataclass(frozen=True)
class Check:
    what: str
    verdict: Verdict
    message: str


def checks(data_sets: dict[str, str]) -> Iterator[Check]:
    """All checks. ``data_sets``: data set name -> spec that needs it."""
    yield _python()
    for package in ("torch", "torchvision", "av", "numba", "dvc", "mlflow", "pydantic"):
        yield _package(package)
    yield from _torch()
    yield from _codecs()
    try:
        local = load_local()
    except UserError as error:
        yield Check("local.yaml", "bad", str(error))
        return
    yield Check("local.yaml", "ok" if (home() / "local.yaml").exists() else "note", _local_message())
    for name, spec in sorted({**{n: "" for n in local.datasets}, **data_sets}.items()):
        try:
            yield Check(f"data {name}", "ok", str(local.root(name)))
        except UserError as error:
            yield Check(f"data {name}", "bad" if spec else "note", f"{error}" + (f" (needed by spec {spec})" if spec else ""))
    yield _mlflow_store()
    yield _disk("disk (results)", home())
    yield _disk("disk (store)", local.store_folder)
    yield _git()


def _python() -> Check:
    now = ".".join(map(str, sys.version_info[:3]))
    good = (3, 11) <= sys.version_info[:2] <= (3, 13)
    return Check("Python", "ok" if good else "bad", f"{now} at {sys.executable}" + ("" if good else "; 3.11 to 3.13 is needed"))


def _package(name: str) -> Check:
    try:
        return Check(name, "ok", version(name))
    except PackageNotFoundError:
        optional = name in ("mlflow", "dvc")
        return Check(name, "note" if optional else "bad", "not installed" + ("; stages run without it" if optional else ""))


def _torch() -> Iterator[Check]:
    if not importlib.util.find_spec("torch"):
        return
    import torch

    threads = len(os.sched_getaffinity(0))
    if torch.cuda.is_available():
        for i in range(torch.cuda.device_count()):
            info = torch.cuda.get_device_properties(i)
            yield Check(f"GPU {i}", "ok", f"{info.name}, {info.total_memory / GIB:.0f} GiB, CUDA {torch.version.cuda}")
    else:
        yield Check("GPU", "note", f"none that torch can use: stages run on the CPU ({threads} cores)")


def _codecs() -> Iterator[Check]:
    if not importlib.util.find_spec("av"):
        return
    from av.codec import codecs_available

    wanted = ("h264", "mpeg4", "hevc", "vp9", "av1", "mjpeg")
    missing = [c for c in wanted if c not in codecs_available]
    yield Check("video codecs", "bad" if missing else "ok", f"missing: {', '.join(missing)}" if missing else ", ".join(wanted))
    encoder = "libx264" in codecs_available
    yield Check("H.264 encoder", "ok" if encoder else "bad", "libx264" if encoder else "libx264 is missing: synthetic_actions cannot be made")


def _local_message() -> str:
    path = home() / "local.yaml"
    return str(path) if path.exists() else f"no {path}; data roots can also come from variables such as {root_variable('ucf101')}"


def _mlflow_store() -> Check:
    uri = os.environ.get("MLFLOW_TRACKING_URI")
    if uri:
        return Check("MLflow store", "ok", f"{uri} (MLFLOW_TRACKING_URI)")
    path = home() / ".vidspec" / "mlflow.db"
    if not path.exists():
        return Check("MLflow store", "note", f"{path}: will be made by the first run")
    return Check("MLflow store", "ok" if os.access(path, os.W_OK) else "bad", f"{path}, {path.stat().st_size / 2**20:.1f} MiB")


def _disk(what: str, folder: Path) -> Check:
    while not folder.exists():
        folder = folder.parent
    free = shutil.disk_usage(folder).free / GIB
    return Check(what, "ok" if free > 10 else "note", f"{free:.0f} GiB free at {folder}")


def _git() -> Check:
    if not shutil.which("git"):
        return Check("git", "bad", "not found; DVC's experiments need it")
    found = (home() / ".git").exists()
    return Check("git", "ok" if found else "note", "repository found" if found else "no repository here: `dvc exp run` needs one")
