"""The flow stage from outside: what it stores, what it reports, and what happens when videos, settings or the store change."""

from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from engine.errors import UserError
from engine.run.local import Local
from stages.flow import backends
from stages.flow.spec import Config
from stages.video.flow_bytes import ZERO, to_pixels
from stages.video.flow_spec import FlowStorage, Precomputed, Tvl1
from stages.video.store import unused

from .conftest import QUICK, moving


def files(folder: Path) -> dict[str, bytes]:
    """Content of all files, by name."""
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


@pytest.fixture
def counted(monkeypatch) -> list[int]:
    """Pairs of each call of a backend."""
    calls: list[int] = []
    real = backends.open_backend

    def opened(*arguments):
        backend = real(*arguments)
        return lambda frames: calls.append(len(frames) - 1) or backend(frames)

    monkeypatch.setattr(backends, "open_backend", opened)
    return calls


def test_motion_is_found_and_read_by_frame_number(study):
    study.add("right.mp4", moving(6, 48, 64, 0, (1, 0)))
    study.add("up.mp4", moving(5, 48, 64, 1, (0, -1)))
    metrics, flows, clips = study.run(study.clips(), algorithm=Tvl1())
    for name, expected in (("right", (1, 0)), ("up", (0, -1))):
        row = clips.paths.index(f"moves/{name}.mp4")
        stored = flows.read(row, np.array([0, 3]))
        assert stored.shape == (2, 48, 64, 2) and stored.dtype == np.uint8
        inside = to_pixels(stored, 20.0)[:, 8:-8, 8:-8].reshape(-1, 2)
        assert np.median(inside, 0) == pytest.approx(expected, abs=0.08)  # a step of a byte is 0.16 px
    assert metrics["videos"] == 2 and metrics["fields"] == 9 and metrics["broken"] == 0
    assert metrics["clipped_share"] == 0
    assert 0 < metrics["storage_error_px"] <= 20 / 127 / 2
    assert metrics["store_bytes"] == 9 * 48 * 64 * 2
    assert {p.name for p in (study.folder / "results/flow/pictures").iterdir()} == {"flow.png", "histogram.png"}


def test_the_last_frame_has_the_field_before_it_and_order_is_free(study):
    study.add("a.mp4", moving(4, 32, 40, 0, (2, 1)))
    _, flows, _ = study.run(study.clips())
    asked = flows.read(0, np.array([3, 0, 2, 2]))
    assert np.array_equal(asked[0], asked[2]) and np.array_equal(asked[2], asked[3])
    assert not np.array_equal(asked[0], asked[1])


def test_a_video_of_one_frame_does_not_move(study):
    study.add("one.mp4", moving(1, 32, 40, 0))
    study.add("two.mp4", moving(2, 32, 40, 0))
    metrics, flows, _ = study.run(study.clips())
    assert (flows.read(0, np.array([0, 0])) == ZERO).all()
    assert metrics["fields"] == 2


def test_odd_sizes_fit_the_frames(study):
    study.add("odd.mp4", moving(3, 37, 51, 0))
    _, flows, clips = study.run(study.clips())
    assert flows.read(0, np.array([1])).shape[:3] == clips.read(0, np.array([1])).shape[:3] == (1, 37, 51)


def test_long_videos_are_done_in_parts_to_the_same_flow(study, monkeypatch, counted):
    study.add("long.mp4", moving(10, 32, 40, 0))
    clips = study.clips()
    _, whole, _ = study.run(clips)
    expected = whole.read(0, np.arange(10))
    monkeypatch.setattr("stages.flow.work.CHUNK", 4)
    study.store = study.folder / "other_store"
    clips = study.clips()
    _, parts, _ = study.run(clips)
    assert counted == [9, 4, 4, 1]
    assert np.array_equal(parts.read(0, np.arange(10)), expected)


def test_a_second_run_and_a_new_video_compute_what_is_new_alone(study, counted):
    study.add("a.mp4", moving(4, 32, 40, 0))
    study.run(study.clips())
    assert counted == [3]
    study.run(study.clips())
    assert counted == [3]
    study.add("b.mp4", moving(6, 32, 40, 1))
    metrics, _, _ = study.run(study.clips())
    assert counted == [3, 5] and metrics["fields"] == 8


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


@pytest.mark.parametrize("workers", [1, 2])
def test_workers_do_not_change_a_bit(make_study, workers):
    outputs = []
    for name, count in (("here", 0), ("processes", workers)):
        study = make_study(name)
        for i in range(3):
            study.add(f"{i}.mp4", moving(3 + i, 32, 40, i))
        metrics, flows, _ = study.run(study.clips(), workers=count)
        outputs.append((metrics, files(study.folder / "results/flow"), [flows.read(i, np.arange(3)).tobytes() for i in range(3)]))
    assert outputs[0] == outputs[1]


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


def test_jpeg_planes_come_back_nearly_and_report_their_error(study):
    study.add("a.mp4", moving(4, 40, 48, 0, (2, 0)))
    clips = study.clips()
    exact, raw, _ = study.run(clips)
    lossy, jpeg, _ = study.run(clips, "jpeg", storage=FlowStorage(kind="jpeg", quality=90))
    apart = np.abs(to_pixels(raw.read(0, np.arange(3)), 20.0) - to_pixels(jpeg.read(0, np.arange(3)), 20.0))
    assert 0 < apart.mean() < 0.5
    assert exact["storage_error_px"] < lossy["storage_error_px"] < exact["storage_error_px"] + apart.mean() + 1e-6
    assert lossy["store_bytes"] < exact["store_bytes"]


def test_vectors_beyond_the_bound_are_counted_and_warned_of(study):
    study.add("fast.mp4", moving(4, 48, 64, 0, (3, 0)))
    metrics, flows, _ = study.run(study.clips(), algorithm=Tvl1(), bound=2.0)
    assert metrics["clipped_share"] > 0.5
    assert to_pixels(flows.read(0, np.array([1])), 2.0).max() == 2.0
    assert any("raise the view's bound" in m and "moves/fast.mp4" in m for m in study.record.messages)


def test_a_broken_video_is_reported_and_does_not_move(study, monkeypatch):
    for i in range(21):
        study.add(f"v{i:02d}.mp4", moving(2, 32, 40, i))
    clips = study.clips()
    real, calls = backends.open_backend, iter(range(100))

    def opened(*arguments):
        backend = real(*arguments)
        return lambda frames: backend(frames) * (np.nan if next(calls) == 3 else 1)

    monkeypatch.setattr(backends, "open_backend", opened)
    metrics, flows, _ = study.run(clips)
    assert metrics["broken"] == 1 and metrics["videos"] == 20
    assert (flows.read(3, np.array([0])) == ZERO).all() and (flows.read(4, np.array([0])) != ZERO).any()
    assert "moves/v03.mp4,its flow is not finite" in (study.folder / "results/flow/problems.csv").read_text()
    table = pq.read_table(study.folder / "results/flow/flow.parquet").to_pylist()
    assert [row["path"] for row in table if row["problem"]] == ["moves/v03.mp4"]


def test_too_many_broken_videos_fail_with_their_names(study, monkeypatch):
    study.add("a.mp4", moving(2, 32, 40, 0))
    clips = study.clips()
    monkeypatch.setattr(backends, "open_backend", lambda *_: lambda frames: np.full((1, 32, 40, 2), np.nan, np.float32))
    with pytest.raises(UserError, match="1 of 1 videos have no flow.*\n.*moves/a.mp4: its flow is not finite"):
        study.run(clips)


def test_a_store_that_was_cleared_says_what_to_do(study):
    study.add("a.mp4", moving(3, 32, 40, 0))
    clips = study.clips()
    _, flows, opened = study.run(clips)
    for path in (study.store / "flow").rglob("*.parquet"):
        path.unlink()
    context = study.context("flow", clips=clips)
    with pytest.raises(UserError, match="flow of 1 of 1 videos is not in .*first: moves/a.mp4.*VIDSPEC_STORE"):
        type(flows).open(context.out, opened, context)


def test_the_reader_may_be_sent_to_processes(study):
    study.add("a.mp4", moving(3, 32, 40, 0))
    _, flows, _ = study.run(study.clips())
    flows.read(0, np.array([0]))
    again = pickle.loads(pickle.dumps(flows))
    assert np.array_equal(again.read(0, np.array([1])), flows.read(0, np.array([1])))


def test_gc_keeps_flow_that_a_result_names(study):
    study.add("a.mp4", moving(3, 32, 40, 0))
    clips = study.clips()
    study.run(clips)
    study.run(clips, "near", bound=10.0)
    results = [clips, study.folder / "results/flow"]
    found = {path.parent.name for path, _ in unused(study.store, results)}
    assert found and all("-b10-" in name for name in found)
    assert not unused(study.store, [*results, study.folder / "results/near"])


def test_the_plan_knows_what_is_missing_and_what_it_costs(study):
    study.add("a.mp4", moving(5, 64, 100, 0))
    config = Config(algorithm=QUICK, bound=20.0, storage=FlowStorage())
    local = Local(store=str(study.store), datasets={"here": str(study.root)})
    assert "known once the videos are checked" in config.forecast({}, local, {})
    clips = study.clips()
    line = config.forecast({"clips": clips}, local, {})
    assert line.startswith("4 of 4 flow fields to compute: about ") and "51.2 kB of disk" in line
    study.run(clips)
    assert config.forecast({"clips": clips}, local, {}) == "4 flow fields, all in the store"


def test_precomputed_flow_needs_its_root(study):
    study.add("a.mp4", moving(3, 32, 40, 0))
    precomputed = Precomputed(kind="precomputed", root="my-flow", layout="flo")
    with pytest.raises(UserError, match="my-flow"):
        study.run(study.clips(), algorithm=precomputed)
