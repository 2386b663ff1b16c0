"""From records to MLflow, through a real store."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from engine.errors import UserError
from engine.track import replay as replay_module
from engine.track import sweep as sweep_module
from engine.track.cached import record_cached
from engine.track.mirror import sync
from engine.track.repro import Repro, this_process
from engine.track.store import Store

ROOT = Path(__file__).resolve().parents[3]
OTHER = Repro(
    pid=2,
    create_time=1_700_009_999.0,
    started="another boot+2",
    cmdline=("dvc", "exp", "exec-run"),
    host=this_process().host,
)


def children(runs):
    return {name: run for name, run in runs.items() if "mlflow.parentRunId" in run.data.tags}


def test_a_finished_record_becomes_a_run_with_all_it_holds(new_record, runs, client, tmp_path):
    record = new_record(
        "demo.infonce.s0",
        git={"commit": "c0ffee", "branch": "main", "diff": "+tau = 1\n"},
        inputs={"results/demo/clips": "ab" * 16},
        hardware={"cpu": "Abacus", "gpus": ["Big GPU"]},
        key="k1",
        threads=2,
    )
    for step in range(3):
        record.log(step * 10, {"loss": 1.0 / (step + 1), "R@1": 0.5})
    picture = tmp_path / "neighbours.png"
    picture.write_bytes(b"png")
    record.picture(picture)
    record.message("one video is broken", "warning")
    record.end("finished", {"loss": 0.25, "videos": {"train": 8}, "note": "fine", "ok": True})
    run = runs()["infonce.s0"]
    assert run.info.status == "FINISHED"
    assert run.data.params == {
        "seed": "0",
        "threads": "2",
        "lr": "0.001",
        "view.kind": "rgb",
        "milestones": "[0.5, 0.75]",
    }
    history = client.get_metric_history(run.info.run_id, "loss")
    assert [(m.step, m.value) for m in history] == [(0, 1.0), (10, 0.5), (20, pytest.approx(1 / 3))]
    assert run.data.metrics["R_at_1"] == 0.5 and run.data.metrics["videos/train"] == 8
    assert run.data.metrics["result/loss"] == 0.25 and run.data.tags["note"] == "fine"
    assert "ok" not in run.data.metrics
    tags = run.data.tags
    assert (tags["mlflow.source.git.commit"], tags["gpu"], tags["code"]) == (
        "c0ffee",
        "Big GPU",
        "changed since the commit",
    )
    assert [(d.dataset.name, d.dataset.digest) for d in run.inputs.dataset_inputs] == [
        ("results/demo/clips", "ab" * 16)
    ]
    files = {f.path for f in client.list_artifacts(run.info.run_id)}
    assert files == {"run.json", "code.diff", "pictures", "messages.txt"}
    place = Path(client.download_artifacts(run.info.run_id, "messages.txt"))
    assert place.read_text() == "warning: one video is broken\n"


def test_artifacts_lie_in_the_main_checkout(new_record, runs, home, client):
    new_record("demo.a").end("finished")
    uri = client.get_run(runs()["a"].info.run_id).info.artifact_uri
    assert uri.startswith((home / ".vidspec" / "mlartifacts" / "demo").as_uri())


def test_seeds_have_their_mean(new_record, runs):
    new_record("demo.probe").end(
        "finished", {"seeds": {"0": {"top1": 0.25}, "1": {"top1": 0.75}}, "test_videos": 40}
    )
    metrics = runs()["probe"].data.metrics
    assert metrics == {"top1": 0.5, "seed_0/top1": 0.25, "seed_1/top1": 0.75, "test_videos": 40}


def test_runs_of_one_repro_have_one_parent_and_studies_their_experiments(new_record, runs):
    one, two = new_record("demo.a"), new_record("demo.b")  # both open at once
    for step in range(5):
        one.log(step, {"x": step})
        two.log(step, {"x": -step})
    one.end("finished")
    two.end("failed", error="Traceback ...\nValueError: no frames")
    new_record("demo.c", repro=OTHER).end("finished")
    new_record("other.a").end("finished")
    found = runs()
    parents = {n: r for n, r in found.items() if "mlflow.parentRunId" not in r.data.tags}
    assert len(parents) == 2 and set(children(found)) == {"a", "b", "c"}
    parent_of = {n: r.data.tags["mlflow.parentRunId"] for n, r in children(found).items()}
    assert parent_of["a"] == parent_of["b"] != parent_of["c"]
    status = {r.info.run_id: r.info.status for r in parents.values()}
    assert (status[parent_of["a"]], status[parent_of["c"]]) == ("FAILED", "FINISHED")
    assert found["b"].info.status == "FAILED" and found["b"].data.tags["error"] == "ValueError: no frames"
    assert (found["a"].data.metrics["x"], found["b"].data.metrics["x"]) == (4, -4)
    assert set(children(runs("other"))) == {"a"}


def test_only_news_is_sent_and_a_half_written_line_waits(new_record, runs, client, home, monkeypatch):
    record = new_record("demo.a")
    record.log(0, {"x": 1.0})
    sent = []
    log = Store.log
    monkeypatch.setattr(
        Store,
        "log",
        lambda self, run, metrics=(), **more: sent.append(m := list(metrics)) or log(self, run, m, **more),
    )
    assert runs()["a"].info.status == "RUNNING"
    record.log(1, {"x": 2.0})
    with (record.folder / "events.jsonl").open("a") as file:
        file.write('{"time": 5.0, "event": "log", "step": 2, "values": {"x"')
        file.flush()
        sent.clear()
        assert sync(home) == 1
        assert [(k, s) for points in sent for k, _, _, s in points] == [("x", 1)]
        sent.clear()
        assert sync(home) == 0 and not any(sent)
        file.write(": 3.0}}\n")
    record.end("finished")
    run = runs()["a"]
    assert sorted(m.value for m in client.get_metric_history(run.info.run_id, "x")) == [1.0, 2.0, 3.0]


def test_a_long_curve_is_thinned_to_the_same_points_however_it_was_followed(new_record, runs, client, home):
    live, late = new_record("demo.live"), new_record("demo.late")
    for step in range(5_000):
        live.log(step, {"loss": step})
        late.log(step, {"loss": step})
        if step in (10, 3_000):
            sync(home)
    live.end("finished")
    late.end("finished")
    (late.folder / "mirror.json").unlink()
    found = runs()
    histories = [
        [m.step for m in client.get_metric_history(found[n].info.run_id, "loss")] for n in ("live", "late")
    ]
    assert histories[0] == histories[1] and len(histories[0]) <= 2_000
    assert histories[0][0] == 0 and histories[0][-1] == 4_999


def test_what_was_sent_before_a_crash_is_not_there_twice(new_record, runs, client, home, monkeypatch):
    record = new_record("demo.a")
    for step in range(20):
        record.log(step, {"x": step})
    record.end("finished", {"y": 1})
    with monkeypatch.context() as patch:  # everything was sent, nothing was noted
        patch.setattr(replay_module, "save_state", lambda *a: None)
        patch.setattr(sweep_module, "save_state", lambda *a: None)
        sync(home)
    with monkeypatch.context() as patch:  # the data base goes away in the middle
        patch.setattr(replay_module, "_finish", lambda *a: (_ for _ in ()).throw(OSError("gone\nfar")))
        with pytest.raises(UserError, match="20250101-000000-demo.a.*OSError: gone$"):
            sync(home)
    found = runs()
    assert len(found) == 2 and found["a"].info.status == "FINISHED"
    assert [m.step for m in client.get_metric_history(found["a"].info.run_id, "x")] == list(range(20))


def test_one_bad_record_does_not_keep_the_others(new_record, home, client):
    bad = new_record("demo.bad", name="1")
    (bad.folder / "events.jsonl").write_text("no json\n")
    new_record("demo.good", name="2").end("finished")
    with pytest.raises(UserError, match="the record 1 could not"):
        sync(home)
    names = {r.info.run_name: r.info.status for r in client.search_runs(["1"])}
    assert names["good"] == "FINISHED"


def test_a_killed_process_leaves_a_killed_run(home, runs, client):
    code = (
        "import os, signal, sys; from pathlib import Path; from engine.track.facts import facts\n"
        "from engine.track.record import Record\n"
        "r = Record(Path(sys.argv[1]), {**facts(), 'stage': 'demo.a', 'study': 'demo', 'kind': 'x', 'seed': 0})\n"
        "r.log(7, {'x': 1.5}); os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    folder = home / ".vidspec" / "runs" / "1"
    done = subprocess.run([sys.executable, "-c", code, str(folder)], cwd=ROOT, capture_output=True)
    assert done.returncode == -9, done.stderr
    found = runs()
    assert found["a"].info.status == "KILLED" and found["a"].data.metrics["x"] == 1.5
    assert client.get_run(found["a"].data.tags["mlflow.parentRunId"]).info.status == "KILLED"


def test_a_record_of_another_host_is_never_declared_dead(new_record, runs):
    elsewhere = Repro(pid=99, create_time=1.0, started="x", cmdline=(), host="another-host")
    new_record("demo.a", process=elsewhere, repro=elsewhere).log(0, {"x": 1})
    assert runs()["a"].info.status == "RUNNING"


def test_store_away_is_said_clearly_and_made_up_for(new_record, runs, home, monkeypatch):
    new_record("demo.a").end("finished", {"y": 1})
    with monkeypatch.context() as patch:
        patch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
        patch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
        with pytest.raises(UserError, match="http://127.0.0.1:9 cannot be reached"):
            sync(home)
    assert runs()["a"].data.metrics == {"y": 1}


def test_a_new_data_base_is_filled_again(new_record, home, monkeypatch):
    new_record("demo.a").end("finished", {"y": 1})
    assert sync(home) and not sync(home)
    monkeypatch.setattr(Store, "identity", "the same address, made anew")
    assert sync(home) and not sync(home)


def report(record, folder):
    for name, text in (
        ("report.md", "# Study\n\n| model | top1 |\n"),
        ("t.json", '{"columns": ["a"], "data": [["b"]]}'),
        ("c.json", "{}"),
    ):
        (folder / name).write_text(text)
        record.artifact(folder / name, parent=True)
    record.end("finished", {"tables": {"t": {"a": {"p.top1": 50.0}}}})


def test_the_table_stands_at_the_parent_and_the_experiment(new_record, runs, client, tmp_path):
    report(new_record("demo.report", kind="report"), tmp_path)
    run = runs()["report"]
    parent = client.get_run(run.data.tags["mlflow.parentRunId"])
    for place in (run, parent):
        assert json.loads(place.data.tags["mlflow.loggedArtifacts"]) == [{"path": "t.json", "type": "table"}]
    assert {f.path for f in client.list_artifacts(parent.info.run_id)} == {"report.md", "t.json", "c.json"}
    assert parent.data.tags["mlflow.note.content"].startswith("# Study")
    assert parent.data.metrics == {"tables/t/a/p.top1": 50.0}
    assert client.get_experiment_by_name("demo").tags["mlflow.note.content"].startswith("# Study")


def test_an_experiment_names_its_parent_and_leaves_the_studys_table(new_record, runs, client, tmp_path):
    report(new_record("demo.report", repro=OTHER, experiment="topk-1"), tmp_path)
    found = runs()
    assert found["topk-1"].data.tags["mlflow.note.content"].startswith("# Study")
    assert found["report"].data.tags["mlflow.parentRunId"] == found["topk-1"].info.run_id
    assert "mlflow.note.content" not in client.get_experiment_by_name("demo").tags


def test_cached_results_have_their_run(home, runs, client, tmp_path, monkeypatch):
    (tmp_path / "report.md").write_text("# Study")
    content = {
        "stage": "demo.report",
        "kind": "report",
        "seed": 0,
        "config": {"title": "x"},
        "inputs": {},
        "code": {},
    }
    folder = record_cached(
        home, content, {"claims": {"t": {"a > b": "undecided"}}}, OTHER, {"report.md": tmp_path / "report.md"}
    )
    assert folder.parent == home / ".vidspec" / "runs"
    run = runs()["report"]
    assert (
        run.info.status == "FINISHED"
        and run.data.tags["cached"] == "true"
        and run.data.params["title"] == "x"
    )
    assert run.data.tags["claims/t/a _ b"] == "undecided"
    parent = client.get_run(run.data.tags["mlflow.parentRunId"])
    assert parent.data.tags["vidspec.repro"] == OTHER.key and parent.info.status == "FINISHED"


def test_odd_values_do_not_stop_a_record(new_record, runs):
    record = new_record("demo.a", stage_file={"config": {"text": "x" * 9_000, "a/../b": 1, "é": 2}})
    record.log(0, {"loss": float("nan"), "//x": float("inf"), "": 1.0})
    record.end("finished", {"y" * 300: 1})
    run = runs()["a"]
    assert run.info.status == "FINISHED" and len(run.data.params["text"]) == 6_000
    assert {"loss", "x", "_", "y" * 250} == set(run.data.metrics)


def test_nothing_of_a_record_that_is_just_being_made(home):
    (home / ".vidspec" / "runs" / "1").mkdir(parents=True)
    assert sync(home) == 0


def test_missing_mlflow_is_a_message(home, monkeypatch):
    monkeypatch.setattr("engine.track.mirror.installed", lambda: False)
    with pytest.raises(UserError, match="not installed"):
        sync(home)
    assert os.listdir(home / ".vidspec") == ["mlflow.db"]
