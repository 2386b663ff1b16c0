"""Features of others: read from their containers, and brought to L snippets."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.errors import UserError
from engine.run.checkpoint import Checkpoints
from engine.run.context import Context
from engine.run.local import Local
from engine.track.record import Record
from stages.published_features import stage
from stages.published_features.readers import (
    FeatureError,
    FeatureFile,
    feature_reader,
    find_features,
    read_entry,
)
from stages.published_features.rescale import rescaled
from stages.published_features.spec import Config, Container, Timing
from stages.snippets.index import SnippetIndex
from stages.tal.annotations import Annotations, Instance
from stages.video.listing import Listing, Video, write_listing

IDS = ("aaaaaaaaaaa", "bbbbbbbbbbb", "ccccccccccc")


@pytest.fixture
def annotations(tmp_path: Path) -> Path:
    """Three videos of 10 s, named as YouTube's are; the last one is for test."""
    folder = tmp_path / "annotations"
    folder.mkdir()
    paths = [f"videos/v_{name}.mp4" for name in IDS]
    Annotations(
        ("run",),
        {path: (Instance(1, 5, 0),) for path in paths},
        dict.fromkeys(paths, 10.0),
        dict.fromkeys(paths, "annotation"),
    ).write(folder)
    splits = ("train", "train", "test")
    videos = tuple(Video(path, "run", split, "", 1, path) for path, split in zip(paths, splits))
    write_listing(folder, Listing(videos, ("run",)))
    return folder


def table(number: int, rows: int = 4, width: int = 3) -> np.ndarray:
    return (100 * number + np.arange(rows * width).reshape(rows, width)).astype(np.float32)


def run(
    tmp_path: Path, annotations: Path, out: str = "out", missing_limit: float = 0.0, **container
) -> tuple[dict, Path]:
    (tmp_path / out).mkdir(exist_ok=True)
    context = Context(
        name="demo.published",
        seed=0,
        inputs={"annotations": annotations},
        out=tmp_path / out,
        local=Local(
            device="cpu", datasets={"tsp": str(tmp_path / "features")}, store=str(tmp_path / "store")
        ),
        record=Record(None),
        checkpoints=Checkpoints(None),
    )
    settings = {"root": "tsp", "format": "npy", "snippets": 4} | container
    return stage.run(
        Config(container=Container(**settings), seeds=(0, 5), missing_limit=missing_limit), context
    ), context.out


def write_npy(tmp_path: Path, names=IDS, **kwargs) -> None:
    (tmp_path / "features").mkdir(exist_ok=True)
    for number, name in enumerate(names):
        np.save(tmp_path / "features" / f"{name}.npy", table(number, **kwargs))


def read(tmp_path: Path, out: Path, seed: int = 0) -> list[np.ndarray]:
    index = SnippetIndex.open(out)
    reader = index.reader(seed, tmp_path / "store")
    return [reader.read(row) for row in range(len(index.videos))]


def test_arrays_of_the_right_length_stay_as_they_are_and_stand_for_all_seeds(tmp_path, annotations):
    write_npy(tmp_path)
    metrics, out = run(tmp_path, annotations)
    assert metrics == {"videos": 3, "missing": 0, "width": 3}
    for seed in (0, 5):
        assert all(np.array_equal(found, table(n)) for n, found in enumerate(read(tmp_path, out, seed)))
    index = SnippetIndex.open(out)
    assert [(v.path, v.split, v.duration) for v in index.videos][2] == (
        "videos/v_ccccccccccc.mp4",
        "test",
        10.0,
    )
    assert (index.origin.snippets, index.origin.width) == (4, 3)


@pytest.mark.parametrize("prefix", ["", "v_"])
def test_tables_with_a_line_of_names(tmp_path, annotations, prefix):
    (tmp_path / "features" / "csv_mean_100").mkdir(parents=True)
    for number, name in enumerate(IDS):
        rows = "\n".join(",".join(map(str, row)) for row in table(number).tolist())
        (tmp_path / "features" / "csv_mean_100" / f"{prefix}{name}.csv").write_text(f"f0,f1,f2\n{rows}\n")
    _, out = run(tmp_path, annotations, format="csv", file="csv_mean_100")
    assert all(np.array_equal(found, table(n)) for n, found in enumerate(read(tmp_path, out)))


def test_names_with_dots(tmp_path):
    for day in (1, 2):
        np.save(tmp_path / f"match.day{day}.npy", table(day))
    videos = ["match.day1.mp4", "below/match.day2.mp4", "match.day3.mp4"]
    found = find_features(tmp_path, Container(root="x", format="npy"), videos)
    assert {video: file.path.name for video, file in found.items()} == {
        "match.day1.mp4": "match.day1.npy", "below/match.day2.mp4": "match.day2.npy",
    }  # fmt: skip


def test_columns_first(tmp_path, annotations):
    (tmp_path / "features").mkdir()
    for number, name in enumerate(IDS):
        np.save(tmp_path / "features" / f"{name}.npy", table(number).T)
    _, out = run(tmp_path, annotations, layout="columns")
    assert np.array_equal(read(tmp_path, out)[1], table(1))


def test_hdf5_without_its_package_says_what_to_install(tmp_path, annotations, monkeypatch):
    (tmp_path / "features").mkdir()
    (tmp_path / "features" / "all.h5").write_bytes(b"")
    monkeypatch.setitem(sys.modules, "h5py", None)
    with pytest.raises(UserError, match="pip install h5py"):
        run(tmp_path, annotations, format="hdf5", file="all.h5")


def test_hdf5(tmp_path, annotations):
    h5py = pytest.importorskip("h5py")
    (tmp_path / "features").mkdir()
    with h5py.File(tmp_path / "features" / "all.h5", "w") as file:
        for number, name in enumerate(IDS):
            file[f"v_{name}"] = table(number)
    _, out = run(tmp_path, annotations, format="hdf5", file="all.h5")
    assert all(np.array_equal(found, table(n)) for n, found in enumerate(read(tmp_path, out)))


class Damaged(dict):
    """Entries as h5py hands them out, of which one raises."""

    error: Exception

    def __getitem__(self, name):
        raise self.error


@pytest.mark.parametrize("error", [OSError("bad chunk"), KeyError("no object"), TypeError("no dtype")])
def test_a_damaged_entry_is_a_video_without_features(error):
    opened = Damaged()
    opened.error = error
    with pytest.raises(FeatureError, match=r"all\.h5\[a\] cannot be read as an array"):
        read_entry(opened, FeatureFile(Path("all.h5"), "", "a"))
    with pytest.raises(FeatureError, match="is a group"):
        read_entry({"a": {}}, FeatureFile(Path("all.h5"), "", "a"))


def test_damaged_hdf5(tmp_path, annotations):
    h5py = pytest.importorskip("h5py")
    (tmp_path / "features").mkdir()
    path = tmp_path / "features" / "all.h5"
    with h5py.File(path, "w") as file:
        file[IDS[0]] = table(0)
        file[IDS[1]] = h5py.SoftLink("/nowhere")
        file.create_group(IDS[2])
    metrics, out = run(tmp_path, annotations, missing_limit=0.7, format="hdf5", file="all.h5")
    assert metrics["missing"] == 2 and len(read(tmp_path, out)) == 1
    path.write_bytes(b"nonsense")
    with pytest.raises(UserError, match="cannot be read as an HDF5 file"):
        run(tmp_path, annotations, format="hdf5", file="all.h5")


@pytest.mark.parametrize("names", ["0.5,1,2", "1e3, -2 ,0", '"0.1","3","4"'])
def test_a_table_without_a_line_of_names_is_refused(tmp_path, names):
    path = tmp_path / "a.csv"
    path.write_text(f"{names}\n1,2,3\n")
    container = Container(root="x", format="csv")
    with feature_reader(container) as reader, pytest.raises(FeatureError, match="begins with a line of numbers"):
        reader(FeatureFile(path, ""))


@pytest.mark.parametrize("names", ["f0,f1,f2", "0,1,2", "1,2,3", ""])
def test_lines_of_names(tmp_path, names):
    path = tmp_path / "a.csv"
    path.write_text(f"{names}\n1,2,4\n")
    with feature_reader(Container(root="x", format="csv")) as reader:
        assert reader(FeatureFile(path, "")).tolist() == [[1, 2, 4]]


def test_only_new_files_are_read(tmp_path, annotations, monkeypatch):
    write_npy(tmp_path)
    run(tmp_path, annotations)
    np.save(tmp_path / "features" / f"{IDS[1]}.npy", table(7))
    read_paths = []
    original = np.load
    monkeypatch.setattr(np, "load", lambda path, **kw: read_paths.append(path.stem) or original(path, **kw))
    _, out = run(tmp_path, annotations, out="again")
    assert read_paths == [IDS[1]]
    assert np.array_equal(read(tmp_path, out)[1], table(7))


def test_videos_without_features(tmp_path, annotations, capsys):
    write_npy(tmp_path, IDS[:2])
    with pytest.raises(
        UserError, match="1 of 3 annotated videos have no usable features.*v_ccccccccccc.mp4: no features"
    ):
        run(tmp_path, annotations, missing_limit=0.3)
    metrics, out = run(tmp_path, annotations, missing_limit=0.4)
    assert metrics["missing"] == 1 and len(read(tmp_path, out)) == 2
    assert "are left out" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("spoil", "problem"),
    [
        (lambda path: np.save(path, np.ones(4)), "two axes"),
        (lambda path: np.save(path, np.full((4, 3), np.nan)), "not finite"),
        (lambda path: np.save(path, np.array([["a"]])), "table of numbers"),
        (lambda path: path.write_bytes(b"nonsense"), "cannot be read as an array"),
    ],
)
def test_a_broken_file_is_listed_and_its_video_left_out(tmp_path, annotations, spoil, problem):
    write_npy(tmp_path)
    spoil(tmp_path / "features" / f"{IDS[1]}.npy")
    with pytest.raises(UserError, match=problem):
        run(tmp_path, annotations)
    metrics, out = run(tmp_path, annotations, missing_limit=0.4)
    assert metrics == {"videos": 2, "missing": 1, "width": 3}
    (line,) = (out / "problems.csv").read_text().splitlines()[1:]
    assert line.startswith("videos/v_bbbbbbbbbbb.mp4,") and problem in line
    assert np.array_equal(read(tmp_path, out)[1], table(2))


def test_features_of_several_widths(tmp_path, annotations):
    write_npy(tmp_path)
    np.save(tmp_path / "features" / f"{IDS[1]}.npy", np.ones((4, 5), np.float32))
    with pytest.raises(UserError, match="b.npy has features of width 5, and .*a.npy of width 3"):
        run(tmp_path, annotations)


def test_two_files_of_one_video(tmp_path, annotations):
    write_npy(tmp_path, [*IDS, f"v_{IDS[1]}"])
    with pytest.raises(UserError, match="are of the same video"):
        run(tmp_path, annotations)


def test_a_folder_that_is_not_there(tmp_path, annotations):
    (tmp_path / "features").mkdir()
    with pytest.raises(UserError, match="is no folder"):
        run(tmp_path, annotations, file="nowhere")


def test_rescaling_by_hand():
    """Rows stand at 1, 3, 5 and 7 s; two cells of 4 s take the mean at 0, 2, 4 and at 4, 6, 8 s."""
    values = np.array([[0.0], [1.0], [2.0], [3.0]])
    assert rescaled(values, 2, 8.0, None)[:, 0] == pytest.approx([(0 + 0.5 + 1.5) / 3, (1.5 + 2.5 + 3) / 3])


def test_timed_rows_that_end_before_the_video_leave_zeros():
    """Rows at 0.5 and 1.5 s, known until 2 s; cells of one second."""
    found = rescaled(np.array([[2.0], [4.0]]), 4, 4.0, Timing(0.5, 1.0))[:, 0]
    assert found == pytest.approx([(2 + 2 + 3) / 3, (3 + 4 + 4) / 3, 4 / 3, 0.0])


def test_rows_of_windows_that_overlap():
    """Windows of 16 frames every 8 at 8 a second: middles at 1 and 2 s, known from 0 to 3 s; cells of one second."""
    container = Container(root="x", format="npy", stride=8, window=16, fps=8)
    assert container.timing == (1.0, 1.0)
    found = rescaled(np.array([[2.0], [4.0]]), 4, 4.0, container.timing)[:, 0]
    assert found == pytest.approx([2, 3, 4, 4 / 3])


def test_times_of_rows_in_the_spec():
    assert Container(root="x", format="npy").timing is None
    assert Container(root="x", format="npy", seconds=0.5).timing == (0.25, 0.5)
    assert Container(root="x", format="npy", stride=16, fps=32).timing == (0.25, 0.5)


def test_strides_reach_the_features_and_their_place_in_the_store(tmp_path, annotations):
    write_npy(tmp_path)
    found = {}
    for name, times in {"a": {}, "b": {"stride": 60, "fps": 30}, "c": {"stride": 60, "window": 120, "fps": 30}}.items():
        found[name] = read(tmp_path, run(tmp_path, annotations, out=name, **times)[1])[0]
    assert not any(np.array_equal(found[a], found[b]) for a, b in ("ab", "bc", "ac"))
    timed = read(tmp_path, run(tmp_path, annotations, out="d", seconds=2)[1])[0]
    assert np.array_equal(timed, found["b"])


def test_one_row_is_the_same_throughout():
    assert np.array_equal(rescaled(np.array([[3.0, 4.0]]), 3, 100.0, Timing(0.25, 0.5)), np.tile([3.0, 4.0], (3, 1)))


@given(st.integers(2, 30), st.integers(1, 20), st.floats(0.5, 500))
def test_lines_stay_lines_and_constants_constant(rows, snippets, duration):
    """Between the first and the last row's middle, linear interpolation of a line is the line."""
    line = (np.arange(rows) + 0.5) / rows
    values = np.stack([np.ones(rows), line], axis=1)
    found = rescaled(values, snippets, duration, None)
    assert found[:, 0] == pytest.approx(np.ones(snippets))
    points = (np.arange(snippets)[:, None] + np.array([0, 0.5, 1])) / snippets
    expected = points.clip(line[0], line[-1]).mean(axis=1)
    if rows != snippets:
        assert found[:, 1] == pytest.approx(expected, abs=1e-5)
