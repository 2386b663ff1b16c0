"""What belongs to the machine and not to a study: data roots, device, workers. From ``local.yaml`` and the environment."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Literal

from pydantic import Field, ValidationError

from engine.errors import UserError
from engine.run.home import home, state
from engine.spec.component import Strict


class Local(Strict):
    """``local.yaml`` of the main checkout. None of it is part of a result's identity."""

    datasets: dict[str, str] = Field(default={}, description="Root folder of each data set, by its name.")
    weights: str | None = Field(default=None, description="Folder with pretrained weights.")
    store: str | None = Field(default=None, description="Folder for packed clips and flow; .vidspec/store by default.")
    device: str = Field(default="auto", description="auto, cpu, cuda, cuda:1 ...")
    threads: int | None = Field(default=None, ge=1, description="CPU threads of a stage; all cores by default.")
    workers: int | None = Field(default=None, ge=0, description="Loader processes; chosen by the stage by default.")
    checkpoint_steps: int = Field(default=100, ge=1, description="Steps between two checkpoints.")
    determinism: Literal["seeded", "strict"] = "seeded"
    mlflow: bool = Field(default=True, description="false: the local record only.")

    def root(self, name: str) -> Path:
        """Root folder of data set ``name``: ``VIDSPEC_ROOT_<NAME>`` in the environment, else ``local.yaml``.

        Raises UserError when it is not set or not a folder.
        """
        variable = root_variable(name)
        source, value = variable, os.environ.get(variable)
        if value is None:
            source, value = f"{home() / 'local.yaml'} (datasets.{name})", self.datasets.get(name)
        if value is None:
            raise UserError(
                f"data set {name!r}: no root folder is set. Set {variable}=/path/to/it, "
                f"or write into {home() / 'local.yaml'}:\n  datasets:\n    {name}: /path/to/it"
            )
        path = Path(value).expanduser()
        path = path if path.is_absolute() else home() / path
        if not path.is_dir():
            raise UserError(f"data set {name!r}: root {path} is not a folder (set in {source})")
        return path

    @property
    def store_folder(self) -> Path:
        """Where bulk shards live, outside DVC's outputs: ``VIDSPEC_STORE``, ``local.yaml``, or ``.vidspec/store``."""
        named = os.environ.get("VIDSPEC_STORE") or self.store
        if not named:
            return state("store")
        path = Path(named).expanduser()
        return path if path.is_absolute() else home() / path


def root_variable(name: str) -> str:
    """``my-set`` -> ``VIDSPEC_ROOT_MY_SET``."""
    return "VIDSPEC_ROOT_" + re.sub(r"[^A-Za-z0-9]", "_", name).upper()


def load_local() -> Local:
    """Read ``local.yaml`` (absent: defaults), then ``VIDSPEC_DEVICE``, ``VIDSPEC_THREADS`` and so on, one for each setting."""
    from omegaconf import OmegaConf
    from omegaconf.errors import OmegaConfBaseException

    from engine.spec.source import read_yaml

    path = home() / "local.yaml"
    try:
        raw = OmegaConf.to_container(OmegaConf.create(read_yaml(path).data), resolve=True) if path.exists() else {}
        for key in ("device", "determinism"):
            if value := os.environ.get(f"VIDSPEC_{key.upper()}"):
                raw[key] = value
        for key in ("threads", "workers", "checkpoint_steps"):
            if value := os.environ.get(f"VIDSPEC_{key.upper()}"):
                raw[key] = int(value)
        if value := os.environ.get("VIDSPEC_MLFLOW"):
            raw["mlflow"] = value not in ("0", "false", "no")
        return Local.model_validate(raw)
    except (OmegaConfBaseException, ValueError) as error:
        details = (
            "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors())
            if isinstance(error, ValidationError)
            else str(error)
        )
        raise UserError(f"{path} or a VIDSPEC_ variable: {details}") from None
