"""What is known of a run before it starts."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from engine.track import facts as module
from engine.track.facts import facts, git_state, packages
from engine.track.repro import alive, is_repro, started

ROOT = Path(__file__).resolve().parents[3]


def git(root, *arguments):
    identity = ["-c", "user.name=t", "-c", "user.email=t@example.org"]
    subprocess.run(["git", "-C", str(root), *identity, *arguments], check=True, capture_output=True)


@pytest.fixture
def checkout(tmp_path):
    git(tmp_path, "init", "-q", "-b", "trunk")
    (tmp_path / "loss.py").write_text("tau = 0.07\n")
    (tmp_path / "dvc.lock").write_text("a\n")
    git(tmp_path, "add", "-A")
    git(tmp_path, "commit", "-q", "-m", "one")
    return tmp_path


def test_facts_need_neither_torch_nor_mlflow_and_fit_into_json():
    code = (
        "import json, sys; from engine.track.facts import facts; from engine.track.mirror import ensure_mirror\n"
        "print(json.dumps([facts(), [m for m in ('torch', 'mlflow', 'pandas', 'dvc') if m in sys.modules]]))"
    )
    environment = {**os.environ, "DVC_EXP_NAME": "flat-nose"}
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, env=environment, capture_output=True, text=True, check=True
    )
    found, heavy = json.loads(done.stdout)
    assert heavy == []
    assert found["experiment"] == "flat-nose"
    assert found["packages"]["mlflow"] and found["packages"]["pytest"]
    assert found["hardware"]["threads"] >= 1 and found["hardware"]["memory_gb"] > 0
    assert found["repro"]["key"] and found["process"]["pid"] != os.getpid()


def test_packages_agree_with_importlib():
    from importlib.metadata import version

    found = packages()
    assert {n: found[n] for n in ("numpy", "pydantic", "typer")} == {
        n: version(n) for n in ("numpy", "pydantic", "typer")
    }


def test_git_state_has_the_change_but_not_what_runs_write(checkout):
    assert git_state(checkout)["diff"] == ""
    (checkout / "loss.py").write_text("tau = 0.1\n")
    (checkout / "dvc.lock").write_text("b\n")
    (checkout / "new.py").write_text("")
    found = git_state(checkout)
    assert "+tau = 0.1" in found["diff"] and "dvc.lock" not in found["diff"]
    assert found["untracked"] == ["new.py"] and found["branch"] == "trunk" and len(found["commit"]) == 40
    git(checkout, "checkout", "-q", "--detach")
    assert git_state(checkout)["branch"] is None


def test_git_state_of_an_experiments_checkout_is_its_own(checkout):
    temporary = checkout / ".dvc" / "tmp" / "exps" / "tmp1"
    git(checkout, "clone", "-q", str(checkout), str(temporary))
    (temporary / "loss.py").write_text("tau = 0.5\n")
    assert "+tau = 0.5" in git_state(temporary)["diff"] and git_state(checkout)["diff"] == ""


def test_diff_is_bounded(checkout, monkeypatch):
    monkeypatch.setattr(module, "DIFF_LIMIT", 100)
    (checkout / "loss.py").write_text("x\n" * 1000)
    diff = git_state(checkout)["diff"]
    assert len(diff) < 200 and "more characters were left out" in diff


def test_no_git_and_no_commit(tmp_path):
    assert git_state(tmp_path) is None or "commit" in git_state(tmp_path)
    git(tmp_path, "init", "-q", "-b", "trunk")
    assert git_state(tmp_path)["commit"] is None and git_state(tmp_path)["diff"] == ""


@pytest.mark.parametrize(
    ("command", "expected"),
    [
        (["/venv/bin/python", "/venv/bin/dvc", "repro"], True),
        (["dvc", "exp", "run"], True),
        (["/venv/bin/python3.12", "-Xutf8", "-m", "dvc", "repro"], True),
        (["/venv/bin/python3", "-m", "dvc.cli"], True),
        (["/venv/bin/python", "-I", "/venv/bin/vidspec", "repro"], True),
        (["/bin/sh", "-c", "python -m engine.run dvc"], False),
        (["python", "-m", "engine.run", "demo.dvc"], False),
        (["vim", "dvc"], False),
        ([], False),
    ],
)
def test_what_a_repro_looks_like(command, expected):
    assert is_repro(command) is expected


def test_stages_of_one_dvc_share_its_key(tmp_path):
    child = tmp_path / "child.py"
    child.write_text(
        "from engine.track.facts import facts\nr = facts()['repro']\nprint(r['key'], r['pid'])\n"
    )
    script = tmp_path / "dvc"
    script.write_text(
        "import os, subprocess, sys\n"
        f"for _ in range(2): subprocess.run(['/bin/sh', '-c', f'{{sys.executable}} {child}; true'], check=True)\n"
        "print(os.getpid())\n"
    )
    command = [sys.executable, str(script), "repro"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    outputs = [
        subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout.split()
        for _ in range(2)
    ]
    for key, pid, again, pid_again, own in outputs:
        assert key == again and pid == pid_again == own
    assert outputs[0][0] != outputs[1][0]


def test_alive_knows_a_process_from_a_later_one_of_its_number():
    assert alive(os.getpid(), started(os.getpid()))
    assert not alive(os.getpid(), "another boot+1") and not alive(os.getpid(), "")
    process = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    began = started(process.pid)
    assert alive(process.pid, began)
    process.kill()
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)  # ended but not yet waited for
    assert not alive(process.pid, began)
    process.communicate()
    assert not alive(process.pid, began)


def test_facts_of_this_process(tmp_path):
    assert facts(tmp_path)["process"]["pid"] == os.getpid()
