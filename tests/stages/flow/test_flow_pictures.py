"""The pictures of the flow stage: they show what they say, for any video, and are the same every time."""

from __future__ import annotations

import numpy as np
import pytest
from matplotlib.quiver import Quiver

from stages.flow.pictures import flow_examples, histogram
from stages.video.flow_spec import Tvl1
from stages.video.wheel import flow_picture

from .conftest import moving


@pytest.fixture
def opened(study):
    study.add("right.mp4", moving(6, 48, 64, 0, (2, 0)))
    study.add("one.mp4", moving(1, 37, 51, 1))
    _, flows, clips = study.run(study.clips(), algorithm=Tvl1())
    return study, clips, flows


def test_the_stage_draws_them(opened):
    study, _, _ = opened
    assert {p.name for p in (study.folder / "results/flow/pictures").iterdir()} == {"flow.png", "histogram.png"}


def test_frames_flow_wheel_and_arrows(opened):
    _, clips, flows = opened
    figure = flow_examples(clips, flows)
    axes = np.array(figure.axes).reshape(4, 5)
    still, moves = (clips.paths.index(f"moves/{name}.mp4") for name in ("one", "right"))
    assert (still, moves) == (0, 1)
    assert np.array_equal(axes[2, 0].images[0].get_array(), clips.read(moves, np.array([0]))[0])
    assert (axes[1, 0].images[0].get_array() == 255).all()  # no motion is white
    shown = np.asarray(axes[3, 0].images[0].get_array())[8:-8, 8:-8].reshape(-1, 3)
    right = flow_picture(np.array([1.0, 0.0]), 1.0)
    assert np.abs(np.median(shown, 0) - right).max() < 60  # red, about as full as the scale says
    arrows = [child for child in axes[2, 4].get_children() if isinstance(child, Quiver)]
    assert len(arrows) == 1 and np.median(arrows[0].U) == pytest.approx(2, abs=0.3) and abs(np.median(arrows[0].V)) < 0.3
    assert axes[3, 4].get_title("left").startswith("rim: 2.") and axes[1, 4].get_title("left") == "rim: 0.5 px a frame"


def test_the_histogram_counts_all_vectors_and_marks_the_bound(opened):
    _, clips, flows = opened
    axes = histogram(clips, flows).axes[0]
    assert axes.lines[0].get_xdata() == [20.0, 20.0]
    values, edges, _ = axes.patches[0].get_data()
    assert values.sum() == pytest.approx(1)
    peak = edges[1:][values[1:].argmax()]
    assert 1.2 < peak < 2.4


def test_they_are_the_same_every_time(opened, tmp_path):
    _, clips, flows = opened
    for draw in (flow_examples, histogram):
        for name in ("first", "second"):
            draw(clips, flows).savefig(tmp_path / f"{name}.png")
        assert (tmp_path / "first.png").read_bytes() == (tmp_path / "second.png").read_bytes()
