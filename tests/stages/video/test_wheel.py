"""The colour wheel of flow, against its published corners."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torchvision.utils import flow_to_image

from stages.video.wheel import flow_picture, wheel


def test_the_wheel_passes_its_six_hues():
    colours = wheel()
    assert colours.shape == (55, 3)
    corners = {0: (1, 0, 0), 15: (1, 1, 0), 21: (0, 1, 0), 25: (0, 1, 1), 36: (0, 0, 1), 49: (1, 0, 1)}
    for place, hue in corners.items():
        assert colours[place] == pytest.approx(hue)
    assert (np.abs(np.diff(np.vstack([colours, colours[:1]]), axis=0)).sum(1) <= 0.26).all()  # no jump anywhere


def test_pictures_are_those_of_the_usual_implementation():
    """torchvision's, which scales by the longest vector and cannot show longer ones."""
    flow = np.random.default_rng(0).standard_normal((40, 50, 2)).astype(np.float32)
    most = float(np.hypot(flow[..., 0], flow[..., 1]).max()) * (1 + 1e-6)
    expected = flow_to_image(torch.from_numpy(flow).permute(2, 0, 1)).permute(1, 2, 0).numpy()
    assert np.abs(flow_picture(flow, most).astype(int) - expected).max() <= 1


def test_directions():
    right, down, left, up = flow_picture(np.array([[1, 0], [0, 1], [-1, 0], [0, -1]], float), 1.0).tolist()
    assert right == [255, 0, 0]
    assert down[0] == 255 and down[1] > 200 and down[2] == 0  # yellow
    assert left[0] == 0 and left[1] > 150 and left[2] == 255  # cyan to blue
    assert up[1] == 0 and up[2] == 255 and up[0] > 80  # violet


def test_rest_is_white_and_length_is_saturation():
    assert (flow_picture(np.zeros((3, 4, 2)), 1.0) == 255).all()
    half, whole = flow_picture(np.array([[0.5, 0], [1, 0]], float), 1.0)
    assert half.tolist() == [255, 127, 127] and whole.tolist() == [255, 0, 0]


def test_beyond_the_greatest_length_is_darker():
    assert flow_picture(np.array([[3.0, 0]]), 1.0).tolist() == [[191, 0, 0]]


def test_the_greatest_length_must_be_positive():
    with pytest.raises(ValueError, match="positive"):
        flow_picture(np.zeros((1, 2)), 0.0)
