"""What the flow stage keeps in the store: nothing is computed twice, nothing is mixed up, and nothing is lost that was published."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import psutil
import pyarrow.parquet as pq
import pytest

from engine.errors import UserError
from engine.run.local import Local
from stages.flow.spec import Config
from stages.flow.work import Item, Portion
from stages.video.flow_bytes import to_pixels
from stages.video.flow_spec import FlowStorage, Precomputed, Tvl1
from stages.video.flows import FlowShelf
from stages.video.shards import places
from stages.video.store import unused
from stages.video.workers import do_all

from .conftest import QUICK, files, moving

REPO = Path(__file__).resolve().parents[3]
EXTRACTED = Precomputed(kind="precomputed", root="extracted", layout="npy")


def test_a_second_run_and_a_new_video_compute_what_is_new_alone(study, counted):
    study.add("a.mp4", moving(4, 32, 40, 0))
    study.run(study.clips())
    assert counted == [3]
    study.run(study.clips())
    assert counted == [3]
    before = files(study.store / "flow")
    study.add("b.mp4", moving(6, 32, 40, 1))
    metrics, _, _ = study.run(study.clips())
    assert counted == [3, 5] and metrics["fields"] == 8
    after = files(study.store / "flow")
    assert len(after) == len(before) + 2 and before.items() <= after.items()


def test_videos_of_the_same_content_are_computed_once(study, counted):
    for name in ("a.mp4", "b.mp4"):
        study.add(name, moving(3, 32, 40, 0))
    metrics, flows, _ = study.run(study.clips())
    assert counted == [2] and metrics["videos"] == 2 and metrics["store_bytes"] == 2 * 32 * 40 * 2
    assert np.array_equal(flows.read(0, np.arange(3)), flows.read(1, np.arange(3)))


def test_what_was_cached_does_not_show_in_the_results(make_study):
    outputs = []
    for name, steps in (("at_once", (2,)), ("one_by_one", (1, 2))):
        study = make_study(name)
        for count in steps:
            for i in range(count):
                study.add(f"{i}.mp4", moving(4 + i, 32, 40, i, (i + 1, 0)))
            metrics, _, _ = study.run(study.clips())
        outputs.append((metrics, files(study.folder / "results/flow")))
    assert outputs[0] == outputs[1]


def test_workers_do_not_change_a_bit(make_study):
    outputs = []
    for name, workers in (("here", 0), ("processes", 2)):
        study = make_study(name)
        for i in range(3):
            study.add(f"{i}.mp4", moving(3 + i, 32, 40, i))
        metrics, flows, _ = study.run(study.clips(), workers=workers)
        outputs.append((metrics, files(study.folder / "results/flow"), [flows.read(i, np.arange(3)).tobytes() for i in range(3)]))
    assert outputs[0] == outputs[1]


def test_little_work_starts_no_processes_unless_they_are_asked_for(study, monkeypatch):
    asked = []
    monkeypatch.setattr("stages.flow.stage.do_all", lambda work, workers: asked.append(workers) or do_all(work, 0))
    study.add("a.mp4", moving(3, 32, 40, 0))
    clips = study.clips()
    study.run(clips, workers=None)
    monkeypatch.setattr("stages.flow.stage.IN_PROCESS_SECONDS", 0.0)
    monkeypatch.setattr("stages.flow.stage.cores", lambda: 3)
    study.run(clips, "near", workers=None, bound=10.0)
    study.run(clips, "far", workers=2, bound=30.0)
    assert asked == [0, 3, 2]


RUN = """
import sys
from pathlib import Path
from tests.stages.flow.conftest import FlowStudy
from stages.video.flow_spec import Tvl1
study = FlowStudy(Path(sys.argv[1]))
study.run(study.folder / "results/clips", workers=1, algorithm=Tvl1.model_validate_json(sys.argv[2]))
"""


def test_a_killed_run_goes_on_to_the_same_bits(make_study, counted):
    slow = Tvl1(num_warp=10, num_iter=150, tol=0.0)
    killed, whole = make_study("killed"), make_study("whole")
    for study in (killed, whole):
        for i in range(8):
            study.add(f"{i}.mp4", moving(6, 48, 64, i))
        study.clips()

    arguments = [sys.executable, "-c", RUN, str(killed.folder), slow.model_dump_json()]
    process = subprocess.Popen(arguments, cwd=REPO, stderr=subprocess.DEVNULL)
    while not list(killed.store.glob("flow/*/*.parquet")):
        assert process.poll() is None, "it ended before it had published anything"
        time.sleep(0.01)
    workers = psutil.Process(process.pid).children(recursive=True)
    process.kill()
    process.wait()
    assert workers and not psutil.wait_procs(workers, timeout=10)[1]
    done = len(places(killed.store, shelf_of(slow), digests_of(killed)))
    assert 0 < done < 8

    resumed, flows, _ = killed.run(killed.folder / "results/clips", algorithm=slow)
    assert len(counted) == 8 - done
    expected, untouched, _ = whole.run(whole.folder / "results/clips", algorithm=slow)
    assert resumed == expected
    assert files(killed.folder / "results/flow") == files(whole.folder / "results/flow")
    assert all(np.array_equal(flows.read(i, np.arange(6)), untouched.read(i, np.arange(6))) for i in range(8))


def shelf_of(algorithm):
    return FlowShelf.of("raw-64-v1", algorithm, 20.0, FlowStorage())


def digests_of(study):
    return pq.read_table(study.folder / "results/clips/clips.parquet")["digest"].to_pylist()


def test_settings_have_folders_of_their_own(study, counted):
    study.add("a.mp4", moving(3, 32, 40, 0))
    clips = study.clips()
    study.run(clips)
    study.run(clips, "slower", algorithm=Tvl1(num_warp=2, num_iter=2))
    study.run(clips, "near", bound=10.0)
    study.run(clips, "small", storage=FlowStorage(kind="jpeg"))
    assert counted == [2] * 4
    keys = sorted(p.name for p in (study.store / "flow").iterdir())
    assert len(keys) == 4 and all(key.startswith("raw-64-v1.tvl1-") for key in keys)
    assert {key.split("-b")[1] for key in keys} == {"20-raw-v1", "10-raw-v1", "20-jpeg-q95-v1"}


def test_flow_of_videos_that_are_decoded_anew_each_time(study):
    study.add("a.mp4", moving(3, 32, 40, 0, (1, 0)))
    packed, _, _ = study.run(study.clips())
    decoded, flows, _ = study.run(study.clips(pack="none"), "decoded")
    assert packed == decoded and flows.read(0, np.arange(3)).shape == (3, 32, 40, 2)
    assert {p.name.split(".")[0] for p in (study.store / "flow").iterdir()} == {"raw-64-v1", "decoded-64"}


def test_gc_keeps_flow_that_a_result_names(study):
    study.add("a.mp4", moving(3, 32, 40, 0))
    clips = study.clips()
    study.run(clips)
    study.run(clips, "near", bound=10.0)
    results = [clips, study.folder / "results/flow"]
    found = {path.parent.name for path, _ in unused(study.store, results)}
    assert found and all("-b10-" in name for name in found)
    assert not unused(study.store, [*results, study.folder / "results/near"])


@pytest.fixture
def extracted(study, monkeypatch, tmp_path):
    """Two videos with flow of one length each, in files beside them."""
    monkeypatch.setenv("VIDSPEC_ROOT_EXTRACTED", str(tmp_path / "extracted"))
    (tmp_path / "extracted/moves").mkdir(parents=True)

    def write(name, u):
        np.save(tmp_path / f"extracted/moves/{name}.npy", np.full((2, 32, 40, 2), (u, 0), np.float32))

    for i, name in enumerate("ab"):
        study.add(f"{name}.mp4", moving(3, 32, 40, i))
        write(name, i + 1.0)
    return write


def us(flows):
    return [float(to_pixels(flows.read(row, np.array([2])), 20.0)[0, 5, 5, 0].round()) for row in (0, 1)]


def test_extracted_flow_is_read_once_and_again_when_its_files_change(study, extracted):
    clips = study.clips()
    _, flows, _ = study.run(clips, algorithm=EXTRACTED)
    assert us(flows) == [1, 2]
    study.run(clips, algorithm=EXTRACTED)
    assert any("flow of 0 of 2 videos to compute" in message for message in study.record.messages)
    extracted("b", 5.0)  # of the same size
    _, flows, _ = study.run(clips, algorithm=EXTRACTED)
    assert any("flow of 1 of 2 videos to compute" in message for message in study.record.messages)
    assert us(flows) == [1, 5]
    assert unused(study.store, [clips, study.folder / "results/flow"]) == []  # a is in the first shard, b in the second
    extracted("a", 4.0)
    study.run(clips, algorithm=EXTRACTED)
    assert [path.suffix for path, _ in unused(study.store, [clips, study.folder / "results/flow"])] == [".bin", ".parquet"]


def test_extracted_flow_that_is_missing_is_reported(study, extracted, tmp_path):
    for i in range(2, 22):
        study.add(f"x{i}.mp4", moving(3, 32, 40, i))
        extracted(f"x{i}", 1.0)
    (tmp_path / "extracted/moves/b.npy").unlink()
    metrics, _, _ = study.run(study.clips(), algorithm=EXTRACTED)
    assert metrics["broken"] == 1
    assert "moves/b.mp4" in (study.folder / "results/flow/problems.csv").read_text()


def portion(study, clips: Path, algorithm: Precomputed | Tvl1) -> Portion:
    local = Local(device="cpu", store=str(study.store), datasets={"here": str(study.root)})
    config = Config(algorithm=algorithm, bound=20.0, storage=FlowStorage())
    items = tuple(Item(row, key, 2) for row, key in enumerate(digests_of(study)))
    return Portion(items, study.store, clips, local, config, shelf_of(algorithm))


def test_a_video_whose_flow_hangs_costs_that_video(study, monkeypatch, tmp_path):
    """A pipe that nobody writes to stands in for a file on a disk that does not answer."""
    flo = Precomputed(kind="precomputed", root="extracted", layout="flo")
    monkeypatch.setenv("VIDSPEC_ROOT_EXTRACTED", str(tmp_path / "extracted"))
    for i, name in enumerate("abc"):
        study.add(f"{name}.mp4", moving(3, 32, 40, i))
        folder = tmp_path / "extracted/moves" / name
        folder.mkdir(parents=True)
        for k in range(2):
            content = b"PIEH" + np.array([40, 32], "<i4").tobytes() + np.ones((32, 40, 2), "<f4").tobytes()
            os.mkfifo(folder / "1.flo") if name == "b" and k else (folder / f"{k}.flo").write_bytes(content)
    found = dict(do_all([portion(study, study.clips(), flo)], workers=1, patience=1.5))
    first, hanging, last = digests_of(study)
    assert {key: bool(outcome.problem) for key, outcome in found.items()} == {first: False, hanging: True, last: False}
    assert "hangs" in found[hanging].problem
    assert set(places(study.store, shelf_of(flo), found)) == {first, last}


def test_a_worker_reports_a_mistake_of_the_user_as_such(study):
    study.add("a.mp4", moving(3, 32, 40, 0))
    clips = study.clips()
    for index in (study.store / "frames").rglob("*.parquet"):
        index.unlink()
    with pytest.raises(UserError, match="packed frames of 1 of 1 videos are not in"):
        list(do_all([portion(study, clips, QUICK)], workers=1))
