"""What of the store may be removed."""

from __future__ import annotations

import os
import time

import numpy as np

from stages.clips.sheet import ROWS, sample_rows
from stages.video.store import unused


def names(found):
    return sorted(path.suffix for path, _ in found)


def test_frames_that_no_index_names(root, make_clips_of, tmp_path):
    raw = make_clips_of(root, pack={"kind": "raw"})
    jpeg = make_clips_of(root, out="jpeg", pack={"kind": "jpeg"})
    store = tmp_path / "store"
    assert unused(store, [raw.out, jpeg.out]) == []
    found = unused(store, [raw.out])
    assert names(found) == [".bin", ".parquet"] and {p.parent.name for p, _ in found} == {"jpeg-144-q92-v1"}
    assert all(size == path.stat().st_size for path, size in found)
    assert len(unused(store, [])) == 4
    for path, _ in found:
        path.unlink()
    assert raw.clips.read(0, np.array([0])).shape == (1, 32, 48, 3)


def test_a_shard_is_kept_while_one_of_its_videos_is_named(root, make_clips_of, tmp_path):
    make_clips_of(root, pack={"kind": "raw"})
    for path in list(root.rglob("*.mp4"))[1:]:
        path.unlink()
    one = make_clips_of(root, out="one", pack={"kind": "raw"})
    assert one.metrics["videos"] == 1
    assert unused(tmp_path / "store", [one.out]) == []


def test_other_results_and_unpacked_clips_name_nothing(root, make_clips_of, tmp_path):
    make_clips_of(root, pack={"kind": "raw"})
    none = make_clips_of(root, out="none", pack={"kind": "none"})
    (tmp_path / "training").mkdir()
    assert len(unused(tmp_path / "store", [none.out, tmp_path / "training"])) == 2


def test_unfinished_shards_are_left_alone_for_a_day(root, make_clips_of, tmp_path):
    result = make_clips_of(root, pack={"kind": "raw"})
    folder = tmp_path / "store/frames/raw-144-v1"
    young, old, orphan = folder / "a.partial", folder / "b.partial", folder / "c.bin"
    for path in (young, old, orphan):
        path.write_bytes(b"xyz")
    for path in (old, orphan):
        os.utime(path, (time.time() - 25 * 3600,) * 2)
    assert unused(tmp_path / "store", [result.out]) == [(old, 3), (orphan, 3)]


def test_an_absent_store(tmp_path):
    assert unused(tmp_path / "nothing", []) == []


def test_the_sample_shows_as_many_classes_as_it_can():
    targets = np.repeat(np.arange(30), 5)
    rows = sample_rows(targets)
    assert len(rows) == ROWS == len(set(targets[rows]))
    few = sample_rows(np.array([0] * 100 + [1] * 2))
    assert few == [0, 16, 33, 50, 66, 83, 100, 101]
    assert sample_rows(np.array([3])) == [0]
