"""The MLflow store: where it is, and what it allows. MLflow is imported when it is connected to, not before."""

from __future__ import annotations

import importlib.util
import os
import re
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Iterable, Iterator, Mapping, Sequence, TypeVar

if TYPE_CHECKING:
    from mlflow.entities import Experiment
    from mlflow.tracking import MlflowClient

T = TypeVar("T")

QUIET = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "DO_NOT_TRACK": "true",
    "MLFLOW_LOGGING_LEVEL": "WARNING",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",  # the mirror has its own patience
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "20",
}
VALUE_LIMIT = 6_000
TAG_LIMIT = 8_000
KEY_LIMIT = 250


def installed() -> bool:
    """Whether MLflow can be imported here."""
    return importlib.util.find_spec("mlflow") is not None


def store_uri(home: Path) -> str:
    """``MLFLOW_TRACKING_URI``, or a SQLite data base in the main checkout, by its absolute path."""
    return os.environ.get("MLFLOW_TRACKING_URI") or f"sqlite:///{home.resolve() / '.vidspec' / 'mlflow.db'}"


def artifact_root(home: Path) -> Path:
    """Folder for artifacts of a store that has no server to keep them."""
    return home.resolve() / ".vidspec" / "mlartifacts"


class Store:
    """A connection, made at the first use."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.uri = store_uri(home)
        self._experiments: dict[str, str] = {}

    @cached_property
    def client(self) -> MlflowClient:
        for name, value in QUIET.items():
            os.environ.setdefault(name, value)
        if self.uri.startswith("sqlite:///"):
            Path(self.uri.removeprefix("sqlite:///")).parent.mkdir(parents=True, exist_ok=True)
        from mlflow.tracking import MlflowClient

        return MlflowClient(tracking_uri=self.uri)

    @cached_property
    def identity(self) -> str:
        """Tells this data base from another at the same place, so that a new one is filled from the start."""
        from mlflow.exceptions import MlflowException

        try:
            made = self.client.get_experiment("0").creation_time
        except MlflowException:
            made = None
        return f"{self.uri}#{made}"

    def probe(self) -> None:
        """Raises whatever MLflow raises when the store cannot be used."""
        self.client.search_experiments(max_results=1)

    def experiment(self, study: str) -> str:
        """Id of a study's experiment, which is made or brought back if need be."""
        if study not in self._experiments:
            found: Experiment | None = self.client.get_experiment_by_name(study)
            if found is None:
                by_server = self.uri.startswith(("http://", "https://", "databricks"))
                place = None if by_server else (artifact_root(self.home) / study).as_uri()
                kind = {"mlflow.experimentKind": "custom_model_development"}  # or the UI asks what it is
                self._experiments[study] = self.client.create_experiment(
                    study, artifact_location=place, tags=kind
                )
            else:
                if found.lifecycle_stage == "deleted":
                    self.client.restore_experiment(found.experiment_id)
                self._experiments[study] = found.experiment_id
        return self._experiments[study]

    def find_run(self, experiment: str, tag: str, value: str) -> str | None:
        """Id of the run with a tag, or None."""
        runs = self.client.search_runs([experiment], f"tags.`{tag}` = '{value}'", max_results=1)
        return runs[0].info.run_id if runs else None

    def log(
        self,
        run: str,
        metrics: Iterable[tuple[str, float, float, int]] = (),
        params: Mapping[str, Any] | None = None,
        tags: Mapping[str, str] | None = None,
    ) -> None:
        """Send metrics (name, value, time in seconds, step), params and tags, in batches that MLflow takes."""
        from mlflow.entities import Metric, Param, RunTag

        points = [Metric(legal(k), float(v), milliseconds(t), int(s)) for k, v, t, s in metrics]
        for batch in _batches(points, 1_000):
            self.client.log_batch(run, metrics=batch)
        entries = [Param(legal(k), shorten(str(v), VALUE_LIMIT)) for k, v in (params or {}).items()]
        for batch in _batches(entries, 100):
            self.client.log_batch(run, params=batch)
        marks = [RunTag(legal(k), shorten(v, TAG_LIMIT)) for k, v in (tags or {}).items()]
        for batch in _batches(marks, 100):
            self.client.log_batch(run, tags=batch)

    def log_inputs(self, run: str, inputs: Mapping[str, str]) -> None:
        """Note what a run read: path -> digest; the UI shows them as data sets."""
        from mlflow.entities import Dataset, DatasetInput

        if inputs:
            sets = [Dataset(path[:500], digest[:36], "dvc", path) for path, digest in inputs.items()]
            self.client.log_inputs(run, [DatasetInput(s) for s in sets])


def milliseconds(seconds: float) -> int:
    return int(seconds * 1000)


def legal(name: str) -> str:
    """A name with MLflow's letters only: ``R@1`` -> ``R_at_1``; no empty or dotted steps between slashes."""
    name = re.sub(r"[^A-Za-z0-9_\-. /]", "_", name.replace("@", "_at_").replace("%", "_percent_"))
    steps = [step for step in name.split("/") if step.strip(". ")]
    return "/".join(steps)[:KEY_LIMIT] or "_"


def shorten(text: str, limit: int) -> str:
    """Cut a text that MLflow would refuse."""
    return text if len(text) <= limit else f"{text[: limit - 1]}…"


def flatten(value: Any, name: str = "", joint: str = ".") -> Iterator[tuple[str, Any]]:
    """Leaves of nested mappings with their joined keys; lists are leaves, empty mappings nothing."""
    if isinstance(value, Mapping):
        for key, below in value.items():
            yield from flatten(below, f"{name}{joint}{key}" if name else str(key), joint)
    else:
        yield name, value


def _batches(items: Sequence[T], size: int) -> Iterator[list[T]]:
    for start in range(0, len(items), size):
        yield list(items[start : start + size])
