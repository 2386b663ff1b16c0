"""What belongs to the machine: roots, device, the main checkout."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from engine.errors import UserError
from engine.run.home import home
from engine.run.local import Local, load_local, root_variable
from engine.run.main import pin_threads


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / ".dvc").mkdir()
    monkeypatch.chdir(tmp_path)
    for name in ("HOME", "DEVICE", "THREADS", "WORKERS", "CHECKPOINT_STEPS", "STORE", "DETERMINISM"):
        monkeypatch.delenv(f"VIDSPEC_{name}", raising=False)
    return tmp_path


def test_main_checkout_is_found_from_an_experiment(checkout: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    inside = checkout / ".dvc" / "tmp" / "exps" / "standalone" / "tmpabc"
    (inside / ".dvc").mkdir(parents=True)
    (inside / "results").mkdir()
    assert home(inside) == home(inside / "results") == checkout
    assert home(checkout) == checkout
    monkeypatch.setenv("VIDSPEC_HOME", "/somewhere")
    assert home(checkout) == Path("/somewhere")


def test_roots_come_from_the_environment_before_local_yaml(checkout: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (checkout / "here").mkdir()
    (checkout / "there").mkdir()
    (checkout / "local.yaml").write_text("datasets: {my-set: here}\ndevice: cpu\n")
    assert load_local().root("my-set") == checkout / "here"
    monkeypatch.setenv(root_variable("my-set"), str(checkout / "there"))
    assert load_local().root("my-set") == checkout / "there"


def test_an_unset_or_missing_root_says_what_to_do(checkout: Path) -> None:
    with pytest.raises(UserError, match="VIDSPEC_ROOT_UCF101=/path/to/it") as error:
        load_local().root("ucf101")
    assert "local.yaml" in str(error.value)
    with pytest.raises(UserError, match=r"root /nowhere is not a folder \(set in .*local.yaml"):
        Local(datasets={"x": "/nowhere"}).root("x")


def test_local_yaml_may_read_the_environment(checkout: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DISK", "/big")
    (checkout / "local.yaml").write_text("store: ${oc.env:DISK}/store\n")
    assert load_local().store_folder == Path("/big/store")


@pytest.mark.parametrize("text", ["datsets: {}\n", "threads: many\n", "store: ${oc.env:NOT_SET_ANYWHERE}\n"])
def test_mistakes_in_local_yaml(checkout: Path, text: str) -> None:
    (checkout / "local.yaml").write_text(text)
    with pytest.raises(UserError, match="local.yaml"):
        load_local()


def test_variables_win(checkout: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (checkout / "local.yaml").write_text("device: cuda\nthreads: 8\n")
    monkeypatch.setenv("VIDSPEC_DEVICE", "cpu")
    monkeypatch.setenv("VIDSPEC_THREADS", "1")
    local = load_local()
    assert (local.device, local.threads) == ("cpu", 1)
    monkeypatch.setenv("VIDSPEC_THREADS", "one")
    with pytest.raises(UserError, match="VIDSPEC_"):
        load_local()


@pytest.mark.parametrize(
    ("chosen", "expected"),
    [
        ({}, {"GOMP_SPINCOUNT": "10000"}),
        ({"OMP_WAIT_POLICY": "active"}, {"OMP_WAIT_POLICY": "active"}),
        ({"GOMP_SPINCOUNT": "7"}, {"GOMP_SPINCOUNT": "7"}),
    ],
)
def test_threads_are_counted_and_soon_sleep_while_they_wait(chosen, expected, monkeypatch) -> None:
    monkeypatch.setattr(os, "environ", {"OMP_NUM_THREADS": "64"} | chosen)
    pin_threads(Local(threads=3))
    counts = {"OMP_NUM_THREADS": "3", "MKL_NUM_THREADS": "3", "OPENBLAS_NUM_THREADS": "1"}
    assert os.environ == counts | expected
