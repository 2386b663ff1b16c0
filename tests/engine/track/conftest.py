"""A checkout with records, and a real MLflow store whose data base is migrated once for all tests."""

import shutil
from dataclasses import asdict

import pytest

from engine.track.mirror import sync
from engine.track.record import Record
from engine.track.repro import Repro, this_process
from engine.track.store import Store

GONE = Repro(
    pid=1,
    create_time=1_700_000_000.0,
    started="another boot+1",
    cmdline=("dvc", "repro"),
    host=this_process().host,
)


@pytest.fixture(scope="session")
def empty_store(tmp_path_factory):
    home = tmp_path_factory.mktemp("migrated")
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("MLFLOW_TRACKING_URI", raising=False)
        Store(home).probe()
    return home / ".vidspec" / "mlflow.db"


@pytest.fixture
def home(tmp_path, empty_store, monkeypatch):
    """A main checkout with an empty store."""
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    (tmp_path / ".vidspec").mkdir()
    shutil.copyfile(empty_store, tmp_path / ".vidspec" / "mlflow.db")
    return tmp_path


@pytest.fixture
def new_record(home):
    """Makes records: ``new_record("study.stage", repro=..., **header)``."""

    def make(stage, name=None, repro=GONE, process=None, **header):
        whole = {
            "stage": stage,
            "study": stage.split(".")[0],
            "kind": "infonce",
            "seed": 0,
            "time": 1_700_000_100.0,
            "stage_file": {"config": {"lr": 1e-3, "view": {"kind": "rgb"}, "milestones": [0.5, 0.75]}},
            "process": asdict(process or this_process()),
            "repro": {**asdict(repro), "key": repro.key},
            **header,
        }
        return Record(home / ".vidspec" / "runs" / (name or f"20250101-000000-{stage}"), whole)

    return make


@pytest.fixture
def runs(home):
    """Brings MLflow up to date and returns the runs of a study by name."""

    def look(study="demo"):
        sync(home)
        client = Store(home).client
        experiment = client.get_experiment_by_name(study)
        return {r.info.run_name: r for r in client.search_runs([experiment.experiment_id])}

    return look


@pytest.fixture
def client(home):
    return Store(home).client
