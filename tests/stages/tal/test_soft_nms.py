"""Soft-NMS: by hand, and against a list that shrinks."""

from __future__ import annotations

from math import exp

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stages.tal.proposals import Proposals
from stages.tal.soft_nms import soft_nms
from tests.stages.tal.plain_head import plain_soft_nms


def proposals(*rows: tuple[float, float, float]) -> Proposals:
    return Proposals(*np.array(rows, float).reshape(-1, 3).T)


def rows(found: Proposals) -> list[tuple[float, float, float]]:
    return list(zip(found.start.tolist(), found.end.tolist(), found.score.tolist()))


def test_by_hand():
    # IoU of the first and second is 0.3 / 0.5; the third touches none, so it overtakes the second.
    found = soft_nms(proposals((0, 0.4, 0.9), (0.1, 0.5, 0.8), (0.6, 0.7, 0.6)), sigma=0.84)
    assert rows(found) == [(0, 0.4, 0.9), (0.6, 0.7, 0.6), (0.1, 0.5, pytest.approx(0.8 * exp(-(0.6**2) / 0.84)))]


def test_public_code_loses_the_last_candidate():
    given_rows = ((0, 0.4, 0.9), (0.1, 0.5, 0.8), (0.6, 0.7, 0.6))
    assert len(soft_nms(proposals(*given_rows), parity=True)) == 2
    assert len(soft_nms(proposals((0, 1, 0.5)))) == 1
    assert len(soft_nms(proposals((0, 1, 0.5)), parity=True)) == 0
    for parity in (False, True):
        assert len(soft_nms(proposals(), parity=parity)) == 0


def test_no_more_than_the_best():
    found = soft_nms(proposals(*((i / 10, (i + 1) / 10, i / 10) for i in range(10))), top=3)
    assert found.score.tolist() == pytest.approx([0.9, 0.8, 0.7])


def test_of_equal_ones_the_earlier_row_is_taken():
    found = soft_nms(proposals((0.5, 0.6, 0.5), (0, 0.1, 0.5), (0.8, 0.9, 0.5)), top=2)
    assert found.start.tolist() == [0.5, 0]


def test_what_is_given_is_left_as_it_was():
    given_proposals = proposals((0, 0.4, 0.9), (0.1, 0.5, 0.8))
    soft_nms(given_proposals)
    assert given_proposals.score.tolist() == [0.9, 0.8]


@settings(deadline=None, max_examples=100)
@given(
    st.lists(st.tuples(st.integers(0, 20), st.integers(0, 20), st.floats(0, 1)), max_size=25),
    st.floats(0.1, 2),
    st.integers(1, 30),
    st.booleans(),
)
def test_equals_a_list_that_shrinks(drawn, sigma, top, parity):
    given_rows = [(min(a, b) / 21, (max(a, b) + 1) / 21, score) for a, b, score in drawn]
    expected = plain_soft_nms(given_rows, sigma, top, parity)
    found = rows(soft_nms(proposals(*given_rows), sigma, top, parity))
    assert len(found) == len(expected)
    assert [row[2] for row in found] == pytest.approx([row[2] for row in expected], rel=1e-9, abs=1e-300)
