"""The flow stage from outside: what it finds, what it reports, and what it does about videos that are not as they should be."""

from __future__ import annotations

import numpy as np
import pyarrow.parquet as pq
import pytest

from engine.errors import UserError
from stages.flow import backends
from stages.video.flow_bytes import ZERO, to_pixels
from stages.video.flow_spec import FlowStorage, Precomputed, Tvl1

from .conftest import moving


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
    assert metrics["mean_magnitude_px"] == pytest.approx(1, abs=0.2)
    assert 0 < metrics["storage_error_px"] <= 20 / 127 / 2
    assert metrics["store_bytes"] == 9 * 48 * 64 * 2


def test_the_index_has_a_row_for_each_video_by_path(study):
    study.add("b.mp4", moving(4, 32, 40, 0))
    study.add("a.mp4", moving(3, 34, 42, 1, (2, 0)))
    metrics, _, clips = study.run(study.clips(), algorithm=Tvl1())
    rows = pq.read_table(study.folder / "results/flow/flow.parquet").to_pylist()
    assert [row["path"] for row in rows] == ["moves/a.mp4", "moves/b.mp4"]
    assert [(row["fields"], row["height"], row["width"]) for row in rows] == [(2, 34, 42), (3, 32, 40)]
    assert [row["digest"] for row in rows] == [row["key"] for row in rows] == clips.digests
    assert rows[0]["mean_magnitude"] > 1.5 * rows[1]["mean_magnitude"] and rows[0]["max_magnitude"] > rows[0]["mean_magnitude"]
    vectors = [row["fields"] * row["height"] * row["width"] for row in rows]
    assert metrics["mean_magnitude_px"] == pytest.approx(np.average([row["mean_magnitude"] for row in rows], weights=vectors))
    assert metrics["storage_error_px"] == pytest.approx(np.average([row["storage_error"] for row in rows], weights=vectors))


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


@pytest.mark.parametrize("limit", ["CHUNK_PAIRS", "CHUNK_PIXELS"])
def test_long_and_large_videos_are_done_in_parts_to_the_same_flow(study, monkeypatch, counted, limit):
    study.add("long.mp4", moving(10, 32, 40, 0))
    clips = study.clips()
    _, whole, _ = study.run(clips)
    expected = whole.read(0, np.arange(10))
    monkeypatch.setattr(f"stages.flow.work.{limit}", {"CHUNK_PAIRS": 4, "CHUNK_PIXELS": 4 * 32 * 40 + 1}[limit])
    study.store = study.folder / "other_store"
    _, parts, _ = study.run(study.clips())
    assert counted == [9, 4, 4, 1]
    assert np.array_equal(parts.read(0, np.arange(10)), expected)


def test_a_pair_larger_than_a_part_is_done_by_itself(study, monkeypatch, counted):
    study.add("large.mp4", moving(3, 32, 40, 0))
    monkeypatch.setattr("stages.flow.work.CHUNK_PIXELS", 100)
    study.run(study.clips())
    assert counted == [1, 1]


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
    study.add("slow.mp4", moving(4, 48, 64, 0, (1, 0)))
    metrics, flows, _ = study.run(study.clips(), algorithm=Tvl1(), bound=2.0)
    assert 0.25 < metrics["clipped_share"] < 0.6
    assert to_pixels(flows.read(0, np.array([1])), 2.0).max() == 2.0
    assert any("raise the view's bound" in m and "moves/fast.mp4" in m and "slow" not in m for m in study.record.messages)


def test_measures_by_hand(study, monkeypatch):
    """u = 3 (beyond the bound 2), v = 0.01 (which is stored as 0): everything reported can be worked out."""
    study.add("a.mp4", moving(3, 32, 40, 0))
    field = np.broadcast_to(np.array([3.0, 0.005], np.float32), (2, 32, 40, 2))
    monkeypatch.setattr(backends, "open_backend", lambda *_: lambda frames: field.copy())
    metrics, _, _ = study.run(study.clips(), bound=2.0)
    assert metrics["mean_magnitude_px"] == pytest.approx(3.0, abs=1e-4)
    assert metrics["clipped_share"] == 1
    assert metrics["storage_error_px"] == pytest.approx((0 + 0.005) / 2, abs=1e-6)
    assert pq.read_table(study.folder / "results/flow/flow.parquet")["max_magnitude"].to_pylist() == [pytest.approx(3.0, abs=1e-4)]


def broken_at(monkeypatch, *numbers):
    """Let the backend return flow that is not finite at its calls of these numbers."""
    real, calls = backends.open_backend, iter(range(1000))

    def opened(*arguments):
        backend = real(*arguments)
        return lambda frames: backend(frames) * (np.nan if next(calls) in numbers else 1)

    monkeypatch.setattr(backends, "open_backend", opened)


def test_a_broken_video_is_reported_and_does_not_move(study, monkeypatch):
    for i in range(21):
        study.add(f"v{i:02d}.mp4", moving(2, 32, 40, i))
    clips = study.clips()
    broken_at(monkeypatch, 3)
    metrics, flows, _ = study.run(clips)
    assert metrics["broken"] == 1 and metrics["videos"] == 20
    assert (flows.read(3, np.array([0])) == ZERO).all() and (flows.read(4, np.array([0])) != ZERO).any()
    assert "moves/v03.mp4,its flow is not finite" in (study.folder / "results/flow/problems.csv").read_text()
    table = pq.read_table(study.folder / "results/flow/flow.parquet").to_pylist()
    assert [(row["path"], row["key"], row["fields"]) for row in table if row["problem"]] == [("moves/v03.mp4", "", 0)]
    metrics, flows, _ = study.run(clips)  # it is tried again
    assert metrics["broken"] == 0 and (flows.read(3, np.array([0])) != ZERO).any()


def test_what_a_broken_video_had_written_is_forgotten(study, monkeypatch):
    for i in range(21):
        study.add(f"v{i:02d}.mp4", moving(5, 32, 40, i, (1, 0)))
    clips = study.clips()
    _, expected, _ = study.run(clips, "whole", bound=19.0)
    monkeypatch.setattr("stages.flow.work.CHUNK_PAIRS", 2)
    broken_at(monkeypatch, 3)  # the second half of the second video
    metrics, flows, _ = study.run(clips, "half", bound=19.0 + 1e-9)
    assert metrics["broken"] == 1 and (flows.read(1, np.arange(5)) == ZERO).all()
    assert np.array_equal(flows.read(2, np.arange(5)), expected.read(2, np.arange(5)))


def test_too_many_broken_videos_fail_with_their_names(study, monkeypatch):
    study.add("a.mp4", moving(2, 32, 40, 0))
    clips = study.clips()
    broken_at(monkeypatch, 0)
    with pytest.raises(UserError, match="1 of 1 videos have no flow.*\n.*moves/a.mp4: its flow is not finite"):
        study.run(clips)


def test_a_disk_without_room_is_said_before_anything_is_computed(study, monkeypatch, counted):
    study.add("a.mp4", moving(2, 32, 40, 0))
    clips = study.clips()
    monkeypatch.setattr("shutil.disk_usage", lambda _: type("Usage", (), {"free": 100})())
    with pytest.raises(UserError, match="flow fields need about 2.56 kB, but .* has 0.1 kB free.*jpeg"):
        study.run(clips)
    assert counted == []


def test_precomputed_flow_needs_its_root(study):
    study.add("a.mp4", moving(3, 32, 40, 0))
    precomputed = Precomputed(kind="precomputed", root="my-flow", layout="flo")
    with pytest.raises(UserError, match="my-flow"):
        study.run(study.clips(), algorithm=precomputed)
