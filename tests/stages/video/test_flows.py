"""Stored flow, read by rows and frame numbers of the clips."""

from __future__ import annotations

import pickle
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from engine.errors import UserError
from stages.video.flow_bytes import ZERO
from stages.video.flow_spec import FlowStorage, Precomputed, Tvl1
from stages.video.flows import Flows, FlowShelf
from stages.video.listing import write_parquet
from stages.video.shards import ShardWriter

SHELF = FlowShelf.of("raw-144-v1", Tvl1(), 20.0, FlowStorage())


@dataclass
class Videos:
    """What flow needs to know of the clips."""

    paths: list[str]
    digests: list[str]
    frames: np.ndarray
    sizes: np.ndarray

    def __len__(self) -> int:
        return len(self.paths)


@pytest.fixture
def clips() -> Videos:
    """Videos of 4 frames and of 1, and one whose flow failed."""
    return Videos(["a.mp4", "b.mp4", "c.mp4"], ["aa", "bb", "cc"], np.array([4, 1, 3]), np.array([[10, 8], [12, 8], [10, 6]]))


@pytest.fixture
def fields() -> dict[str, np.ndarray]:
    """What is in the store, by key; that of cc was computed by another study after this one had failed to."""
    rng = np.random.default_rng(0)
    shapes = {"aa": (3, 8, 10, 2), "bb": (1, 8, 12, 2), "cc": (2, 6, 10, 2)}
    return {key: rng.integers(1, 256, shape, np.uint8) for key, shape in shapes.items()}


@pytest.fixture
def output(tmp_path: Path, clips: Videos, fields: dict[str, np.ndarray]) -> Path:
    writer = ShardWriter(SHELF.folder(tmp_path / "store"), SHELF)
    for key, pictures in fields.items():
        for picture in pictures:
            writer.add(picture)
        writer.finish(key)
    writer.publish()
    SHELF.write(tmp_path)
    index = {"path": clips.paths, "digest": clips.digests, "key": ["aa", "bb", ""], "problem": ["", "", "lost"]}
    write_parquet(pa.table(index), tmp_path / "flow.parquet")
    return tmp_path


@pytest.fixture
def flows(output, clips) -> Flows:
    return Flows(output, clips, output / "store")


def test_fields_by_frame_numbers_in_any_order(flows, fields):
    assert flows.bound == 20.0
    got = flows.read(0, np.array([2, 0, 0, 1]))
    assert np.array_equal(got, fields["aa"][[2, 0, 0, 1]]) and got.dtype == np.uint8


def test_the_last_frame_has_the_field_before_it(flows, fields):
    assert np.array_equal(flows.read(0, np.array([2, 3])), fields["aa"][[2, 2]])
    assert np.array_equal(flows.read(1, np.array([0, 0])), fields["bb"][[0, 0]])


def test_a_video_without_flow_does_not_move_whatever_the_store_has(flows):
    got = flows.read(2, np.array([0, 2]))
    assert got.shape == (2, 6, 10, 2) and (got == ZERO).all()


@pytest.mark.parametrize("row", [0, 2])
@pytest.mark.parametrize("numbers", [[4], [-1], [0, 9]])
def test_frames_that_the_video_does_not_have(flows, row, numbers):
    with pytest.raises(IndexError, match="frames, not"):
        flows.read(row, np.array(numbers))


def test_no_frames_are_no_fields(flows):
    assert flows.read(0, np.array([], np.int64)).shape == (0, 8, 10, 2)


def test_it_may_be_sent_to_processes(flows, fields):
    flows.read(0, np.array([0]))
    copy = pickle.loads(pickle.dumps(flows))
    assert np.array_equal(copy.read(0, np.array([1])), fields["aa"][[1]])


def test_a_store_that_was_cleared(output, clips):
    for path in (output / "store").rglob("*.parquet"):
        path.unlink()
    with pytest.raises(UserError, match=r"flow of 2 of 3 videos is not in .*first: a.mp4.*VIDSPEC_STORE.*--force"):
        Flows(output, clips, output / "store")


@pytest.mark.parametrize("change", ["path", "digest"])
def test_a_video_that_the_flow_stage_has_not_seen(output, clips, change):
    {"path": clips.paths, "digest": clips.digests}[change][1] = "new"
    with pytest.raises(UserError, match="flow of 1 of 3 videos"):
        Flows(output, clips, output / "store")


def test_keys_can_be_read_by_people():
    key = FlowShelf.of("raw-144-v1", Tvl1(), 20.0, FlowStorage()).key
    assert key == "raw-144-v1.tvl1-795d0e6e-b20-raw-v1"  # what lies in stores has this name
    assert FlowShelf.of("decoded-144", Tvl1(), 7.5, FlowStorage(kind="jpeg", quality=90)).key == "decoded-144.tvl1-795d0e6e-b7.5-jpeg-q90-v1"


def test_whatever_changes_bytes_changes_the_key():
    shelves = [
        FlowShelf.of(frames, algorithm, bound, storage)
        for frames in ("raw-144-v1", "decoded-144")
        for algorithm in (Tvl1(), Tvl1(num_warp=6), Precomputed(kind="precomputed", root="a", layout="flo"))
        for bound in (20.0, 20.000001, 19.999999)
        for storage in (FlowStorage(), FlowStorage(kind="jpeg"), FlowStorage(kind="jpeg", quality=90))
    ]
    assert len({shelf.key for shelf in shelves}) == len(shelves)
    raw = FlowShelf.of("raw-144-v1", Tvl1(), 20.0, FlowStorage(quality=50))  # of no meaning for raw bytes
    assert raw == shelves[0]


def test_the_output_names_its_shelf(tmp_path):
    shelf = FlowShelf.of("raw-144-v1", Tvl1(), 20.0, FlowStorage(kind="jpeg"))
    shelf.write(tmp_path)
    assert FlowShelf.read(tmp_path) == shelf
