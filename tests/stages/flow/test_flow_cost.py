"""What flow is said to cost, and how work is divided by it."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, strategies as st

from engine.errors import UserError
from engine.run.local import Local
from stages.flow.cost import CORE_NANOSECONDS, GPU_NANOSECONDS, forecast_line, pairs_of, seconds_of, stored_bytes, time_text
from stages.flow.portions import FOR_EACH_WORKER, LONGEST, MOST, SECONDS, portions
from stages.flow.spec import Config
from stages.flow.work import Item
from stages.video.flow_spec import DualTvl1, FlowStorage, Precomputed, Raft, Tvl1

from .conftest import QUICK, moving


def test_seconds_and_bytes_by_hand():
    pairs, sizes = np.array([10, 100]), np.array([[320, 240], [100, 50]])
    assert seconds_of(pairs, sizes, Tvl1()) == pytest.approx(np.array([768_000, 500_000]) * CORE_NANOSECONDS["tvl1"] * 1e-9)
    raft = Raft(kind="raft")
    assert seconds_of(pairs, sizes, raft, "cuda:0") == pytest.approx(np.array([768_000, 500_000]) * GPU_NANOSECONDS["raft"] * 1e-9)
    assert stored_bytes(pairs, sizes, "raw") == 2 * 1_268_000
    assert 0 < stored_bytes(pairs, sizes, "jpeg") < 1_268_000


def test_every_video_has_at_least_one_field():
    assert pairs_of(np.array([1, 2, 30])).tolist() == [1, 1, 29]


def test_a_forecast_counts_what_is_missing():
    pairs, sizes = np.array([1000, 3000]), np.array([[200, 100], [200, 100]])
    line = forecast_line(pairs, sizes, np.array([False, True]), DualTvl1(kind="dual_tvl1"), "raw")
    rate = CORE_NANOSECONDS["dual_tvl1"]
    assert line == (
        f"3,000 of 4,000 flow fields to compute, 60 megapixels: about {time_text(60e6 * rate * 1e-9)} of a core "
        f"(dual_tvl1 at {rate:g} ns a pixel), 120 MB of disk"
    )
    assert forecast_line(pairs, sizes, np.array([False, False]), Tvl1(), "raw") == "4,000 flow fields, all in the store"


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.26, "0.26 s"), (40, "40 s"), (192, "3.2 min"), (5.1 * 3600, "5.1 h"), (120 * 3600, "120 h"), (4.4e6, "1,222 h")]
)
def test_times_are_short(seconds, text):
    assert time_text(seconds) == text


def test_the_plan_knows_what_is_missing_and_what_it_costs(study):
    study.add("a.mp4", moving(5, 64, 100, 0))
    config = Config(algorithm=QUICK, bound=20.0, storage=FlowStorage())
    local = Local(store=str(study.store), datasets={"here": str(study.root)})
    assert "known once the videos are checked" in config.forecast({}, local, {})
    clips = study.clips()
    line = config.forecast({"clips": clips}, local, {})
    assert line.startswith("4 of 4 flow fields to compute, 0.026 megapixels: about ") and "51.2 kB of disk" in line
    study.run(clips)
    assert config.forecast({"clips": clips}, local, {}) == "4 flow fields, all in the store"


def test_the_plan_of_extracted_flow(study, monkeypatch):
    study.add("a.mp4", moving(5, 64, 100, 0))
    config = Config(algorithm=Precomputed(kind="precomputed", root="mine", layout="npy"), bound=20.0, storage=FlowStorage())
    local = Local(store=str(study.store), datasets={"here": str(study.root)})
    with pytest.raises(UserError, match="mine"):
        config.forecast({}, local, {})
    monkeypatch.setenv("VIDSPEC_ROOT_MINE", str(study.root))
    assert "to read: known once" in config.forecast({}, local, {})
    assert config.forecast({"clips": study.clips()}, local, {}).startswith("4 flow fields, read from their files")


def items(count: int) -> list[Item]:
    return [Item(i, str(i), 1) for i in range(count)]


@given(st.lists(st.floats(0, 400), max_size=60), st.integers(0, 8))
def test_portions_keep_order_and_leave_nobody_idle(seconds, workers):
    work = items(len(seconds))
    parts = portions(work, np.array(seconds), workers)
    assert [item for part in parts for item in part] == work
    assert all(parts)
    total = sum(seconds)
    most = min(SECONDS, total / max(1, FOR_EACH_WORKER * workers))
    for part in parts:
        inside = [seconds[item.row] for item in part]
        assert sum(inside) <= most + max(inside) + 1e-6  # it may begin and end with half a video more


def test_portions_grow_where_there_would_be_too_many():
    few = portions(items(20_000), np.full(20_000, 18.0), 1)  # 360,000 s: 90 s each
    assert len(few) <= MOST + 1 and len(few[1]) == 5
    many = portions(items(20_000), np.full(20_000, 100.0), 1)
    assert max(len(part) for part in many) * 100 <= LONGEST + 100


def test_nothing_to_divide():
    assert portions([], np.zeros(0), 2) == []


def test_little_work_in_one_process_is_one_portion():
    assert len(portions(items(10), np.full(10, 1.0), 0)) == 1
