"""Temporary checkouts in which tests run commands as a user would."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[1]
TOY = REPOSITORY / "tests" / "toy"
SHARED_DATA = REPOSITORY.parent / "shared" / "data"


class Project:
    """A checkout in a temporary folder, with its own state, in which commands run as a user would run them."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.env = {k: v for k, v in os.environ.items() if not k.startswith(("VIDSPEC_", "DVC_", "MLFLOW_", "PYTEST_"))}
        self.env |= {
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{self.env['PATH']}",
            "PYTHONPATH": "",
            "DVC_NO_ANALYTICS": "true",
            "DO_NOT_TRACK": "1",
            "DVC_GLOBAL_CONFIG_DIR": str(root / ".dvc-global"),
            "DVC_SYSTEM_CONFIG_DIR": str(root / ".dvc-system"),
            "DVC_SITE_CACHE_DIR": str(root.parent / "dvc-site"),
            "VIDSPEC_MLFLOW": "0",
        }

    def run(self, *command: str, fails: bool = False, **env: str) -> str:
        """Output of a command (stdout and stderr together); it must end well, or fail if ``fails``."""
        done = subprocess.run(
            command, cwd=self.root, env={**self.env, **env}, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=600
        )
        assert (done.returncode != 0) == fails, f"{' '.join(command)} -> {done.returncode}\n{done.stdout}"
        return done.stdout

    def vidspec(self, *words: str, fails: bool = False, **env: str) -> str:
        """``vidspec ...``"""
        return self.run(sys.executable, "-m", "engine.cli", *words, fails=fails, **env)

    def dvc(self, *words: str, fails: bool = False, **env: str) -> str:
        """``dvc ...``"""
        return self.run(sys.executable, "-m", "dvc", *words, fails=fails, **env)

    def commit(self, message: str = "work") -> None:
        self.run("git", "add", "-A")
        self.run("git", "commit", "-q", "--allow-empty", "-m", message)

    def read(self, path: str) -> str:
        return (self.root / path).read_text(encoding="utf-8")

    def write(self, path: str, text: str) -> None:
        (self.root / path).write_text(text, encoding="utf-8")

    def edit(self, path: str, old: str, new: str) -> None:
        """Replace a text that stands exactly once in a file."""
        text = self.read(path)
        assert text.count(old) == 1, f"{old!r} stands {text.count(old)} times in {path}"
        self.write(path, text.replace(old, new))


def make_project(root: Path, stages: Path = REPOSITORY, copy_specs: bool = True) -> Project:
    """A git checkout at ``root`` with this repository's engine and the stages (and specs, params) of ``stages``."""
    ignore = shutil.ignore_patterns("__pycache__", "*.pyc")
    root.mkdir(parents=True)
    shutil.copytree(REPOSITORY / "engine", root / "engine", ignore=ignore)
    shutil.copytree(stages / "stages", root / "stages", ignore=ignore)
    if copy_specs:
        shutil.copytree(stages / "specs", root / "specs")
        shutil.copyfile(stages / "params.yaml", root / "params.yaml")
    for name in (".gitignore", ".dvcignore", ".dvc/config", ".dvc/.gitignore"):
        (root / name).parent.mkdir(exist_ok=True)
        shutil.copyfile(REPOSITORY / name, root / name)
    project = Project(root)
    project.run("git", "init", "-q", "-b", "main")
    project.run("git", "config", "user.email", "tester@localhost")
    project.run("git", "config", "user.name", "Tester")
    return project
