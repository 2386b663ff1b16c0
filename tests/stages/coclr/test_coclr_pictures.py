"""Pictures of a half-cycle: what is in which cell."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest
import torch
from matplotlib.colors import to_rgba

from stages.coclr.pictures import mined_picture, view_pictures
from stages.video.flow_bytes import to_bytes
from stages.video.flow_spec import Flow
from stages.video.loader import Epochs, Pairs
from stages.video.neighbours import RIGHT, SIDE, WRONG, Query, neighbours_picture
from stages.video.spec import Clip, Difference, Rgb
from stages.video.views import ViewReader


@dataclass
class EvenFlow:
    """Stands in for stored flow: every vector of a video is the same."""

    vectors: dict[int, tuple[float, float]]

    def read(self, row: int, numbers: np.ndarray) -> np.ndarray:
        return np.broadcast_to(to_bytes(np.array(self.vectors[row]), 20.0), (len(numbers), 30, 40, 2))


@pytest.fixture
def clips(make_clips):
    return make_clips([(0, "train"), (1, "train"), (0, "train"), (1, "train")])


def figure_of(clips, views):
    mined = torch.tensor([[2, 1, -1], [3, -1, -1], [-1, -1, -1], [-1, -1, -1]])
    similarity = torch.tensor([[0.9, 0.4, 0.0], [0.75, 0.0, 0.0], [0.0] * 3, [0.0] * 3])
    return mined_picture(clips, mined, similarity, views, "flow")


def test_queries_and_what_was_mined_for_them_framed_by_class(clips):
    figure = figure_of(clips, [ViewReader(Rgb(), clips)])
    first, second = figure.axes[:3], figure.axes[3:]
    assert [ax.get_title(loc="left") for ax in first] == ["class 0", "class 0", "class 1"]
    assert [ax.get_title(loc="right") for ax in first] == ["", "0.90", "0.40"]
    assert [ax.spines["top"].get_edgecolor() for ax in first[1:]] == [to_rgba(RIGHT), to_rgba(WRONG)]
    assert [ax.axison for ax in second] == [True, True, False]  # one was mined for the other query
    assert {"query", "mined by flow"} <= {text.get_text() for text in figure.texts}


def test_a_cell_shows_both_views_one_below_the_other(clips):
    flow = EvenFlow({0: (5.0, 0.0), 1: (0.0, 0.0), 2: (-5.0, 0.0), 3: (0.0, 5.0)})
    figure = figure_of(clips, [ViewReader(Rgb(), clips), ViewReader(Flow(kind="flow"), clips, flow)])
    cells = [np.asarray(ax.images[0].get_array()) for ax in figure.axes if ax.axison]
    assert {cell.shape for cell in cells} == {(2 * SIDE + 2, 3 * SIDE + 4, 3)}
    colours = [cell[SIDE + 2 + SIDE // 2, SIDE // 2].tolist() for cell in cells]
    red, cyan, white, yellow = [1, 0, 0], [0, 1, 1], [1, 1, 1], [1, 1, 0]  # to the right, to the left, still, down
    assert [[round(c / 255) for c in colour] for colour in colours] == [red, cyan, white, white, yellow]
    alone = figure_of(clips, [ViewReader(Rgb(), clips)])
    assert np.array_equal(cells[0][:SIDE], np.asarray(alone.axes[0].images[0].get_array()))


def test_rgb_strips_are_the_frames_themselves(clips):
    plain, viewed = (neighbours_picture(clips, [Query(0, ())], views) for views in ((), [ViewReader(Rgb(), clips)]))
    assert np.array_equal(*(np.asarray(figure.axes[0].images[0].get_array()) for figure in (plain, viewed)))


def test_differences_are_of_neighbouring_frames(clips):
    def read(row: int, numbers: np.ndarray) -> np.ndarray:
        """Every frame is brighter than the one before."""
        return np.broadcast_to((10 * numbers).astype(np.uint8)[:, None, None, None], (len(numbers), 30, 40, 3))

    clips.read = read
    cell = np.asarray(figure_of(clips, [ViewReader(Difference(), clips)]).axes[0].images[0].get_array())
    assert cell[SIDE // 2, SIDE // 2].tolist() == [round(127.5 + 10)] * 3


def test_nothing_mined_is_no_picture(clips):
    assert mined_picture(clips, torch.full((4, 2), -1), torch.zeros(4, 2), [ViewReader(Rgb(), clips)], "flow") is None
    none = torch.zeros(4, 0, dtype=torch.int64), torch.zeros(4, 0)
    assert mined_picture(clips, *none, [ViewReader(Rgb(), clips)], "flow") is None


def test_the_first_batch_as_networks_see_it(clips):
    views = [ViewReader(Rgb(), clips), ViewReader(Difference(), clips)]
    pairs = Pairs(views[0], Clip(frames=4, size=16), Epochs(np.arange(4), 4, 0), 0, other=views[1])
    shown = view_pictures(pairs[0], views[0].view, views[1].view)
    assert set(shown) == {"views", "mining_view"}
    height, width = 4 * 16 + 3 * 4, 2 * 4 * 16 + 12  # four rows of two strips of four frames
    assert {picture.shape for picture in shown.values()} == {(height, width, 3)}
    # the keys stand on the right of one picture and on the left of the other
    assert np.array_equal(shown["views"][:, -64:], shown["mining_view"][:, :64])
    assert not np.array_equal(shown["mining_view"][:, :64], shown["mining_view"][:, -64:])
