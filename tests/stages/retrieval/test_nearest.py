"""Nearest neighbours and recall, against a slow loop and numbers worked by hand."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stages.retrieval import nearest as module
from stages.retrieval.nearest import directions, nearest, recall_at, recall_by_chance


def test_by_hand() -> None:
    gallery = directions(np.array([[0.0, 2.0], [1.0, 1.0], [5.0, 0.0], [-1.0, 0.0]]), None)
    found = nearest(directions(np.array([[1.0, 0.0]]), None), gallery, 3)
    assert found.rows.tolist() == [[2, 1, 0]]
    assert found.similarity[0] == pytest.approx([1.0, 0.5**0.5, 0.0], abs=1e-8)


def naive(queries: np.ndarray, gallery: np.ndarray, k: int) -> list[list[int]]:
    rows = []
    for q in queries:
        cosines = []
        for g in gallery:
            norm = float(np.sqrt(sum(v * v for v in q)) * np.sqrt(sum(v * v for v in g)))
            cosines.append(round(sum(float(a) * float(b) for a, b in zip(q, g)) / norm, 8) if norm else 0.0)
        rows.append(sorted(range(len(gallery)), key=lambda i: (-cosines[i], i))[:k])
    return rows


@given(st.data())
def test_the_loop_finds_the_same(data: st.DataObject) -> None:
    # small whole numbers: many exact ties, among them rows that are zero or the same
    vectors = st.lists(
        st.tuples(st.integers(-2, 2), st.integers(-2, 2), st.integers(-2, 2)), min_size=1, max_size=12
    )
    queries, gallery = (np.array(data.draw(vectors), float) for _ in range(2))
    k = data.draw(st.integers(1, len(gallery)))
    found = nearest(directions(queries, None), directions(gallery, None), k)
    assert found.rows.tolist() == naive(queries, gallery, k)


def test_chunks_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    gallery = directions(np.repeat(rng.normal(size=(40, 7)), 2, axis=0), None)
    queries = directions(rng.normal(size=(33, 7)), None)
    whole = nearest(queries, gallery, 9)
    monkeypatch.setattr(module, "CHUNK_BYTES", 1)
    one_by_one = nearest(queries, gallery, 9)
    assert (whole.rows == one_by_one.rows).all()
    assert (whole.similarity == one_by_one.similarity).all()
    assert (whole.rows[:, 1::2][:, :4] == whole.rows[:, ::2][:, :4] + 1).all(), (
        "of two equal videos the first stands first"
    )


def test_the_mean_is_subtracted_before_scaling() -> None:
    assert directions(np.array([[3.0, 5.0]]), np.array([0.0, 1.0])).tolist() == [[0.6, 0.8]]


def test_what_equals_the_mean_has_no_direction() -> None:
    features = np.full((3, 4), np.float32(0.1), np.float32)
    features[1] = np.nextafter(features[1], np.float32(1))
    assert not directions(features, features.astype(np.float64).mean(axis=0)).any()
    assert not directions(np.zeros((2, 3)), None).any()


def test_recall_by_hand() -> None:
    right = np.array(
        [[False, True, False], [True, False, False], [False, False, False], [False, False, True]]
    )
    assert [recall_at(right, k) for k in (1, 2, 3)] == [0.25, 0.5, 0.75]


def test_recall_by_chance_by_hand() -> None:
    # two of four videos are of the class; two drawn: 1 - 1/6
    assert recall_by_chance(np.array([0]), np.array([0, 0, 1, 2]), 2) == pytest.approx(5 / 6)
    assert recall_by_chance(np.array([3]), np.array([0, 0, 1, 2]), 2) == 0.0
    assert recall_by_chance(np.array([0, 1]), np.array([0, 0, 1, 2]), 4) == 1.0


@given(
    st.lists(st.integers(0, 2), min_size=1, max_size=4),
    st.lists(st.integers(0, 3), min_size=1, max_size=7),
    st.data(),
)
def test_recall_by_chance_is_the_mean_over_all_draws(
    queries: list[int], gallery: list[int], data: st.DataObject
) -> None:
    k = data.draw(st.integers(1, len(gallery)))
    draws = list(combinations(gallery, k))
    expected = np.mean([[q in draw for draw in draws] for q in queries])
    assert recall_by_chance(np.array(queries), np.array(gallery), k) == pytest.approx(expected)
