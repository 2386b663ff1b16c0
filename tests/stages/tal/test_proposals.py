"""Boundary candidates and proposals, by hand and against loops."""

from __future__ import annotations

import numpy as np
import pytest

from stages.tal.label_maps import label_maps, valid_mask
from stages.tal.proposals import boundary_candidates, propose


def test_candidates_by_hand():
    curve = np.array([0.1, 0.3, 0.2, 0.2, 0.9, 0.46, 0.45, 0.1, 0.4, 0.4, 0.1])
    # 1 and 4 are maxima, 5 is above half of 0.9, 6 is just half of it; a plateau (8, 9) is no maximum.
    assert boundary_candidates(curve, 0.5).nonzero()[0].tolist() == [1, 4, 5]
    assert boundary_candidates(curve, 0.2).nonzero()[0].tolist() == [1, 2, 3, 4, 5, 6, 8, 9]
    assert boundary_candidates(np.array([0.4, 0.4, 0.4]), 0.5).all()
    assert not boundary_candidates(np.array([0.0, 0.0]), 0.5).any()


def random_output(snippets: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    confidence = rng.random((2, snippets, snippets)) * valid_mask(snippets)
    return rng.random(snippets), rng.random(snippets), confidence


def rows(found) -> list[tuple[float, float, float]]:
    return list(zip(found.start.tolist(), found.end.tolist(), found.score.tolist()))


def test_proposals_by_hand():
    start, end = np.array([0.1, 0.9, 0.1, 0.1]), np.array([0.1, 0.1, 0.8, 0.1])
    confidence = np.arange(32).reshape(2, 4, 4) / 32
    # Starts 0 (always) and 1, ends after 2 and after 3 (always).
    found = propose(start, end, confidence)
    expected = {(0, 0.75): (2, 0), (0, 1): (3, 0), (0.25, 0.75): (1, 1), (0.25, 1): (2, 1)}
    assert {row[:2]: row[2] for row in rows(found)} == {
        segment: confidence[0][cell] * confidence[1][cell] for segment, cell in expected.items()
    }
    # In the public code's way ends stand where their snippet begins, and none at the end of the video.
    found = propose(start, end, confidence, parity=True)
    expected = {(0, 0.5): (1, 0), (0, 0.75): (2, 0), (0.25, 0.5): (0, 1), (0.25, 0.75): (1, 1)}
    assert {row[:2]: row[2] for row in rows(found)} == {
        segment: confidence[0][cell] * confidence[1][cell] for segment, cell in expected.items()
    }


@pytest.mark.parametrize("parity", [False, True])
@pytest.mark.parametrize("snippets", [1, 2, 3, 17])
def test_proposals_equal_a_loop(snippets, parity):
    start, end, confidence = random_output(snippets)
    starts, ends = boundary_candidates(start, 0.5), boundary_candidates(end, 0.5)
    starts[0] = ends[-1] = True
    expected = []
    for duration in range(snippets):
        for first in range(snippets):
            last = first + duration + 1
            place = last if parity else last - 1
            if place < snippets and starts[first] and ends[place]:
                score = confidence[0, duration, first] * confidence[1, duration, first]
                expected.append((first / snippets, last / snippets, score))
    assert rows(propose(start, end, confidence, parity=parity)) == expected


def test_a_segment_to_the_end_of_the_video_is_found_only_corrected():
    snippets = 20
    maps = label_maps([[0.3, 1.0]], snippets)
    confidence = np.stack([maps.iou, maps.iou])
    for parity, best in ((False, (0.3, 1.0)), (True, (0.3, 0.95))):
        found = propose(maps.start, maps.end, confidence, parity=parity)
        row = found.score.argmax()
        assert (found.start[row], found.end[row]) == pytest.approx(best)


def test_a_video_backwards_has_its_proposals_backwards():
    start, end, confidence = random_output(15, seed=3)
    mirrored = np.zeros_like(confidence)
    for duration in range(15):
        mirrored[:, duration, : 15 - duration] = confidence[:, duration, : 15 - duration][:, ::-1]
    forwards, backwards = propose(start, end, confidence), propose(end[::-1], start[::-1], mirrored)
    turned = sorted((round(1 - e, 9), round(1 - s, 9), score) for s, e, score in rows(backwards))
    assert turned == sorted((round(s, 9), round(e, 9), score) for s, e, score in rows(forwards))


def test_fp32_maps_are_scored_in_fp64():
    start, end, confidence = random_output(6)
    assert propose(start, end, confidence.astype(np.float32)).score.dtype == np.float64
