"""Views of a video: which pictures a network gets, and that two views of a clip show the same part of it."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from stages.video.flow_spec import Flow
from stages.video.loader import Epochs, Pairs
from stages.video.spec import Clip, Difference, Rgb
from stages.video.views import ViewReader, open_view

CLIP = Clip(frames=4, stride=2, size=16)
FLOW = Flow(kind="flow")


class CopiedFlows:
    """Stands in for ``Flows``: u and v are the first two colour channels, so that both views can be compared."""

    def __init__(self, clips) -> None:
        self.clips = clips
        self.asked = []

    def read(self, row, numbers):
        self.asked.append((row, numbers.tolist()))
        return np.maximum(self.clips.read(row, numbers)[..., :2], 1)


@pytest.fixture
def clips(make_clips):
    return make_clips([(row % 3, "train") for row in range(8)], frames=[12, 3, 30, 9, 8, 8, 20, 11])


def pairs(reader, other=None, batch=4):
    return Pairs(reader, CLIP, Epochs(reader.clips.split("train"), batch, seed=1), seed=2, other=other)


@pytest.mark.parametrize("view", [Rgb(), Difference()])
def test_colour_views_read_frames(clips, make_context, view):
    reader = open_view(view, clips, make_context())
    assert np.array_equal(reader.read(2, np.array([3, 5])), clips.read(2, np.array([3, 5])))
    assert view.channels == 3


def test_flow_gives_u_and_v_and_the_faithful_form_the_official_picture(clips):
    flows = CopiedFlows(clips)
    numbers = np.array([0, 4])
    uv = ViewReader(FLOW, clips, flows).read(0, numbers)
    assert uv.shape == (2, 30, 40, 2) and FLOW.channels == 2
    faithful = Flow(kind="flow", faithful=True)
    picture = ViewReader(faithful, clips, flows).read(0, numbers)
    assert faithful.channels == 3 and picture.shape == (2, 30, 40, 3)
    assert (picture[..., 0] == 128).all()
    assert np.array_equal(picture[..., 1], uv[..., 1]) and np.array_equal(picture[..., 2], uv[..., 0])


def test_the_other_view_shows_the_key_with_the_same_crop_and_flip(clips):
    batch = pairs(ViewReader(Rgb(), clips), ViewReader(FLOW, clips, CopiedFlows(clips)))[0]
    assert batch.other.shape == (4, 2, 4, 16, 16) and batch.other.dtype == torch.uint8
    keys, flipped = batch.clips[1], 0
    for key, other in zip(keys, batch.other):
        assert (key[1].int() - other[1].int()).abs().max() <= 1  # v is the green channel
        negated = (256 - key[0].int().clamp(min=1) - other[0].int()).abs().max() <= 2
        assert negated or (key[0].int() - other[0].int()).abs().max() <= 2
        flipped += negated
    assert 0 < flipped < 4


def test_flow_keeps_its_colours_and_rgb_gets_the_keys_choices(clips):
    batch = pairs(ViewReader(Rgb(), clips), ViewReader(FLOW, clips, CopiedFlows(clips)), batch=8)[0]
    assert torch.equal(batch.coloured_other(torch.device("cpu")), batch.other.float() / 255)
    turned = pairs(ViewReader(FLOW, clips, CopiedFlows(clips)), ViewReader(Rgb(), clips), batch=8)[0]
    assert list(turned.other_colours) == batch.colours[8:] and any(c.factors for c in turned.other_colours)
    assert torch.equal(turned.clips[1], batch.other)


def test_the_other_view_is_read_for_key_clips_alone(clips):
    flows = CopiedFlows(clips)
    pairs(ViewReader(Rgb(), clips), ViewReader(FLOW, clips, flows))[0]
    assert len(flows.asked) == 4


def test_without_another_view_nothing_of_it_is_made(clips):
    batch = pairs(ViewReader(Rgb(), clips))[0]
    assert batch.other is None and not batch.other_colours
