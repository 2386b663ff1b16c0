"""Collecting metrics files, also from git, and the report stage as a whole."""

import json
import subprocess

import pytest

from engine.errors import UserError
from engine.report.collect import Revision, Workspace, collect
from engine.report.spec import Cell, Config
from engine.report.stage import published, run
from engine.report.views import built_tables, comparisons, layouts
from engine.run.checkpoint import Checkpoints
from engine.run.context import Context
from engine.run.local import Local
from engine.track.record import Record, read_events

PROBE = {"random": 0.1, "base": 0.4, "ours.rgb": 0.5}


def cells(table):
    return [
        Cell(protocol=p, model=row, stage=f"study.{p}.{row}")
        for p in ("probe", "retrieval")
        for row in table.rows
    ]


def write(root, cell, content):
    path = root / cell.metrics_path
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return path


def probe_metrics(model):
    return {
        "seeds": {str(s): {"top1": PROBE[model] + s / 100} for s in range(3)},
        "test_videos": 50,
        "chance": {"top1": 0.125},
    }


@pytest.fixture
def study(tmp_path, table):
    all_cells = cells(table)
    for cell in all_cells:
        if cell.protocol == "probe":
            write(tmp_path, cell, probe_metrics(cell.model))
    return tmp_path, all_cells


def test_collect_reads_values_and_says_what_is_missing(study, table):
    root, all_cells = study
    found = collect(table, all_cells[:-1], Workspace(root).read, failed=["study.retrieval.base"])
    assert found.values["base", "probe.top1"] == pytest.approx({0: 0.4, 1: 0.41, 2: 0.42})
    assert found.test_videos["base", "probe.top1"] == 50 and found.chance == {"probe.top1": 0.125}
    assert found.missing == {
        ("random", "retrieval.recall_at_1"): "study.retrieval.random has not run",
        ("base", "retrieval.recall_at_1"): "study.retrieval.base failed",
        ("ours.rgb", "retrieval.recall_at_1"): "retrieval is not asked for",
    }


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("{", "not JSON"),
        ({"top1": 0.5}, "no values under `seeds`"),
        ({"seeds": {"0": {"top5": 0.5}}}, "seed 0 has no metric 'top1'; it has: top5"),
        ("[]", "a mapping"),
    ],
)
def test_a_bad_metrics_file_is_a_message(study, table, content, words):
    root, all_cells = study
    write(root, all_cells[0], content)
    with pytest.raises(UserError, match="study/probe.random.metrics.json") as caught:
        collect(table, all_cells, Workspace(root).read)
    assert words in str(caught.value)


def git(root, *arguments):
    identity = ["-c", "user.name=t", "-c", "user.email=t@example.org"]
    return subprocess.run(
        ["git", "-C", str(root), *identity, *arguments], check=True, capture_output=True, text=True
    ).stdout.strip()


def test_values_of_a_revision_and_of_a_dvc_experiment(study, table):
    root, all_cells = study
    git(root, "init", "-q", "-b", "main")
    git(root, "add", "-A")
    git(root, "commit", "-q", "-m", "one")
    base = git(root, "rev-parse", "HEAD")
    write(root, all_cells[0], {"seeds": {"0": {"top1": 0.9}}})
    git(root, "commit", "-q", "-a", "-m", "two")
    git(root, "update-ref", f"refs/exps/{base[:2]}/{base[2:]}/topk-1", "HEAD")
    git(root, "reset", "-q", "--hard", base)
    old = collect(table, all_cells, Revision(root, "main").read)
    new = collect(table, all_cells, Revision(root, "topk-1").read)
    assert old.values["random", "probe.top1"][0] == 0.1 and new.values["random", "probe.top1"] == {0: 0.9}
    with pytest.raises(UserError, match="'topk-2'.*Experiments: topk-1"):
        Revision(root, "topk-2").read(all_cells[0])


def test_views_of_a_whole_study(study, table):
    root, all_cells = study
    config = Config(
        title="A",
        tables={"t1": table, "t2": table},
        deviations=("Smaller.",),
        seeds=(0,),
        cells=tuple(all_cells),
    )
    read = Workspace(root).read
    found = layouts(config, read, failed=["study.retrieval.base"])
    assert [laid.deviations for laid in found] == [(), ("Smaller.",)]
    assert any("study.retrieval.base failed" in note for note in found[0].notes)
    side = comparisons(config, {"here": read, "there": read})
    assert side[0].groups[0][1] == ("here", "there", "Δ to here")
    turned = config.model_copy(update={"order": ("t2", "t1")})
    assert [built.name for built in built_tables(turned, read)] == ["t2", "t1"]


def test_the_stage_writes_every_format_the_same_each_time(study, table, tmp_path):
    root, all_cells = study
    for cell in all_cells[3:]:
        write(root, cell, {"seeds": {str(s): {"recall_at_1": 0.3 + s / 50} for s in range(3)}})
    config = Config(
        title="A study",
        tables={"table1": table},
        deviations=("Smaller.",),
        seeds=(0, 1, 2),
        cells=tuple(all_cells),
    )
    written = []
    for turn in ("one", "two"):
        out = tmp_path / turn
        out.mkdir()
        record = Record(tmp_path / f"record-{turn}", {})
        context = Context(
            name="study.report",
            seed=0,
            inputs={"metrics": tuple(root / c.metrics_path for c in all_cells)},
            out=out,
            local=Local(),
            record=record,
            checkpoints=Checkpoints(None),
        )
        metrics = run(config, context)
        written.append({p.relative_to(out).as_posix(): p.read_bytes() for p in out.rglob("*") if p.is_file()})
    assert set(written[0]) == {
        "report.md",
        "report.html",
        "table1.csv",
        "table1.tex",
        "table1.json",
        "pictures/table1.png",
    }
    assert written[0] == written[1]
    assert metrics["tables"]["table1"]["base"]["probe.top1"] == 41.0
    assert metrics["claims"]["table1"]["ours.rgb > base on probe.top1"] == "reproduced"
    assert metrics["claims"]["table1"]["base > ours.rgb on retrieval.recall_at_1"] == "not reproduced"
    assert "Smaller." in written[0]["report.md"].decode()
    events, _ = read_events(tmp_path / "record-one")
    shown = {e["file"] for e in events if e["event"] == "artifact" and e["parent"]}
    assert shown == set(published(tmp_path / "one")) == set(written[0])
