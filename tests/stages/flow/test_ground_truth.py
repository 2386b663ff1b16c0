"""On pairs with known flow ours errs as much as scikit-image's, and less than no flow at all."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.flow_accuracy import DATA, Pair, end_point_error, read_pairs, scikit_image
from engine.run.local import Local
from stages.flow.backends import open_backend
from stages.flow.flo import UNKNOWN
from stages.flow.tvl1_torch import tvl1_flow_torch
from stages.video.flow_spec import Tvl1

BACKENDS = {
    "torch": lambda frames: tvl1_flow_torch(frames, Tvl1(), "cpu", memory_gb=1.0),
    "numba": lambda frames: open_backend(Tvl1(), "cpu", Local(), threads=1)(frames),
}


@pytest.fixture(scope="module")
def pairs() -> list[Pair]:
    """The shared pairs, of the large ones the middle."""
    found = [pair.crop(160, 200) for pair in read_pairs(DATA)]
    if not found:
        pytest.skip("the shared pairs with known flow are not here")
    return found


@pytest.fixture(scope="module")
def reference(pairs: list[Pair]) -> dict[str, float]:
    """End-point error of scikit-image for each pair."""
    return {pair.name: end_point_error(scikit_image(pair.frames)[0], pair.truth) for pair in pairs}


def test_the_reference_is_better_than_no_flow(pairs, reference):
    """Not on ``things_crop``: its two frames differ in brightness, and hardly anything in it moves."""
    for pair in pairs:
        if pair.name != "things_crop":
            assert reference[pair.name] < 0.85 * end_point_error(np.zeros_like(pair.truth), pair.truth), pair.name


@pytest.mark.parametrize("name", BACKENDS)
def test_ours_errs_as_much_as_the_reference(pairs, reference, name):
    if name == "numba":
        pytest.importorskip("numba")
    for pair in pairs:
        error = end_point_error(BACKENDS[name](pair.frames)[0], pair.truth)
        assert error == pytest.approx(reference[pair.name], abs=0.001), pair.name


def test_what_is_not_known_does_not_count():
    truth = np.zeros((2, 2, 2), np.float32)
    truth[0, 0] = 1.7 * UNKNOWN
    flow = np.array([[[9, 9], [3, 4]], [[0, 0], [0, 1]]], np.float32)
    assert end_point_error(flow, truth) == pytest.approx((5 + 0 + 1) / 3)
