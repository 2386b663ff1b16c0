"""The retrieval stage and its picture, from outside."""

from __future__ import annotations

import numpy as np
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from engine.errors import UserError
from stages.features.stored import write_features
from stages.retrieval.spec import Config
from stages.retrieval.stage import run
from stages.video.neighbours import RIGHT, SIDE, WRONG, Answer, Query, neighbours_picture, spread_queries

VIDEOS = [(c, "test" if i % 3 == 0 else "train") for i in range(6) for c in range(3)]  # 6 test, 12 train


@pytest.fixture
def retrieve(make_clips, make_context, tmp_path, monkeypatch):
    """Run retrieval on a set of videos and features by seed; returns (metrics, context). Pictures take time: on request."""

    def run_it(videos, features, centre="train", out="out", drawn=False):
        make_clips(videos)
        if not drawn:
            blank = np.zeros((2, 2, 3), np.uint8)
            monkeypatch.setattr("stages.retrieval.stage.neighbours_picture", lambda clips, queries: blank)
        write_features(tmp_path, features)
        context = make_context(out=out, features=(tmp_path,))
        return run(Config(centre=centre, pictured=2), context), context

    return run_it


def one_hot(videos) -> np.ndarray:
    return np.eye(4, dtype=np.float32)[[c for c, _ in videos]]


def test_perfect_and_useless_features(retrieve, capsys) -> None:
    found, context = retrieve(VIDEOS, {0: one_hot(VIDEOS), 4: np.ones((18, 4), np.float32)})
    assert found["seeds"]["0"] == {"recall_at_1": 1.0, "recall_at_5": 1.0, "recall_at_10": 1.0}
    # All alike: the training videos in order, whose classes are 0, 1, 2, 0, 1, 2 ...
    assert found["seeds"]["4"] == {
        "recall_at_1": pytest.approx(1 / 3),
        "recall_at_5": 1.0,
        "recall_at_10": 1.0,
    }
    assert (found["test_videos"], found["chance"]["recall_at_1"]) == (6, pytest.approx(1 / 3))
    assert found["chance"]["recall_at_5"] == pytest.approx(
        1 - (8 * 7 * 6 * 5 * 4) / (12 * 11 * 10 * 9 * 8)
    )
    said = capsys.readouterr().err
    assert "only 12 training videos: recall is reported at 1, 5, 10 only" in said
    assert "collapsed" in said
    assert (context.out / "pictures" / "neighbours.png").exists()


def test_the_table_of_neighbours(retrieve) -> None:
    features = one_hot(VIDEOS) + 0.3 * np.random.default_rng(0).normal(size=(18, 4)).astype(np.float32)
    found, context = retrieve(VIDEOS, {0: features, 1: features[::-1].copy()})
    rows = pq.read_table(context.out / "neighbours.parquet").to_pylist()
    assert len(rows) == 2 * 6 * 10
    for seed in ("0", "1"):
        first = [r for r in rows if r["seed"] == int(seed) and r["rank"] == 1]
        assert np.mean([r["right"] for r in first]) == pytest.approx(found["seeds"][seed]["recall_at_1"])
    split = {f"v{i:04d}.mp4": name for i, (_, name) in enumerate(VIDEOS)}
    for before, after in zip(rows, rows[1:]):
        assert split[before["query"]] == "test" and split[before["neighbour"]] == "train"
        assert before["right"] == (before["query_label"] == before["neighbour_label"])
        if after["rank"] > 1:
            assert after["rank"] == before["rank"] + 1 and after["similarity"] <= before["similarity"]


def test_centring(retrieve) -> None:
    """Test features are shifted as a whole: only their own mean brings them back."""
    shift = np.where([split == "test" for _, split in VIDEOS], 50.0, 10.0)[:, None] * np.array([1, 0, 0, 0])
    features = (one_hot(VIDEOS) + shift).astype(np.float32)
    recall = {
        c: retrieve(VIDEOS, {0: features}, c, out=c)[0]["seeds"]["0"]["recall_at_1"]
        for c in ("none", "train", "own")
    }
    assert recall["own"] == 1.0
    assert recall["train"] < 1.0 and recall["none"] < 1.0


def test_a_query_does_not_depend_on_the_others(retrieve) -> None:
    features = np.random.default_rng(0).normal(size=(18, 4)).astype(np.float32)
    changed = features.copy()
    changed[2] *= -5  # a test video; the first one, row 0, must not notice
    answers = []
    for table, out in ((features, "a"), (changed, "b")):
        _, context = retrieve(VIDEOS, {0: table}, out=out)
        rows = pq.read_table(context.out / "neighbours.parquet").to_pylist()
        answers.append([r for r in rows if r["query"] == "v0000.mp4"])
    assert answers[0] == answers[1]


def test_the_same_bytes_twice(retrieve) -> None:
    features = np.random.default_rng(0).normal(size=(18, 4)).astype(np.float32)
    outputs = []
    for out in ("a", "b"):
        _, context = retrieve(VIDEOS, {0: features}, out=out, drawn=True)
        outputs.append([p.read_bytes() for p in sorted(context.out.rglob("*")) if p.is_file()])
    assert outputs[0] == outputs[1] and len(outputs[0]) == 2


def test_a_class_absent_from_train_is_never_found(retrieve, capsys) -> None:
    videos = [(c, "test" if c == 2 else split) for c, split in VIDEOS]
    found, _ = retrieve(videos, {0: one_hot(videos)})
    assert found["seeds"]["0"]["recall_at_5"] == pytest.approx(4 / 10)
    assert "6 test videos are of classes without a training video" in capsys.readouterr().err


def test_a_single_training_video(retrieve) -> None:
    found, _ = retrieve([(0, "train"), (0, "test"), (1, "test")], {0: np.ones((3, 2), np.float32)})
    assert found["seeds"]["0"] == {"recall_at_1": 0.5}


def test_no_test_videos(retrieve) -> None:
    with pytest.raises(UserError, match="no video has split 'test'"):
        retrieve([(0, "train")], {0: np.ones((1, 2), np.float32)})


@given(st.lists(st.integers(0, 5), min_size=1, max_size=40), st.integers(1, 12))
def test_queries_are_spread_over_the_classes(targets: list[int], count: int) -> None:
    chosen = spread_queries(np.array(targets), count)
    assert len(chosen) == len(set(chosen)) == min(count, len(targets))
    of_class = np.bincount([targets[c] for c in chosen])
    sizes = np.bincount(targets)
    if count >= len(set(targets)):
        assert (of_class[np.unique(targets)] > 0).all()
        for a in set(targets):  # nobody has two more than one who could have given more
            for b in set(targets):
                assert of_class[a] <= of_class[b] + 1 or of_class[b] == sizes[b]
    else:
        assert of_class.max() == 1


def test_few_queries_lie_evenly_among_many_classes() -> None:
    assert spread_queries(np.arange(100), 4) == [12, 37, 62, 87]


@pytest.mark.parametrize("size, frames", [((30, 40), 9), ((64, 36), 1), ((7, 5), 2)])
def test_picture_frames_answers_by_whether_they_are_right(make_clips, tmp_path, size, frames) -> None:
    clips = make_clips([(0, "test"), (0, "train"), (1, "train")], frames=frames, size=size)
    figure = neighbours_picture(
        clips, [Query(0, (Answer(1, 0.9, True), Answer(2, 0.1, False))), Query(0, (Answer(2, 1.0, False),))]
    )
    first, second = figure.axes[:3], figure.axes[3:]
    assert [ax.spines["top"].get_edgecolor() for ax in first[1:]] == [_rgba(RIGHT), _rgba(WRONG)]
    assert [ax.get_title(loc="right") for ax in first] == ["", "0.90", "0.10"]
    assert [ax.get_title(loc="left") for ax in first] == ["class 0", "class 0", "class 1"]
    assert [ax.axison for ax in second] == [True, True, False]
    shown = first[0].images[0].get_array()
    assert shown.shape == (SIDE, 3 * SIDE + 4, 3)
    figure.savefig(tmp_path / "x.png")
    assert Image.open(tmp_path / "x.png").width > 300


def test_names_of_classes_are_no_formulas(make_clips, tmp_path) -> None:
    clips = make_clips([(0, "test"), (0, "train")])
    clips.classes = ("win_$5_or_$6^{",)
    figure = neighbours_picture(clips, [Query(0, (Answer(1, 0.9, True),))])
    figure.savefig(tmp_path / "x.png")


def _rgba(colour: str) -> tuple[float, ...]:
    from matplotlib.colors import to_rgba

    return to_rgba(colour)
