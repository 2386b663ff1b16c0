"""The pictures of a probe: what they say, for few and for many classes."""

from __future__ import annotations

import numpy as np
import pytest

from stages.linear_probe.pictures import choice_picture
from stages.linear_probe.result import Trial
from stages.video.confusion import confusion_picture


def test_each_row_shows_shares_of_its_videos(tmp_path) -> None:
    counts = np.array([[3, 1, 0], [0, 10, 0], [0, 0, 0]])
    figure = confusion_picture(counts, ("cost_$5", "b", "not in test"))
    ax = figure.axes[0]
    assert ax.images[0].get_array().tolist() == [[75, 25, 0], [0, 100, 0], [0, 0, 0]]
    assert sorted(text.get_text() for text in ax.texts) == ["100", "25", "75"]
    assert [label.get_text() for label in ax.get_yticklabels()] == [r"cost \$5", "b", "not in test"]
    figure.savefig(tmp_path / "x.png")


@pytest.mark.parametrize("classes, named", [(40, True), (101, False)])
def test_many_classes_leave_numbers_and_then_names_out(classes: int, named: bool) -> None:
    figure = confusion_picture(np.eye(classes, dtype=int), [f"class {c}" for c in range(classes)])
    ax = figure.axes[0]
    assert not ax.texts
    assert ("class 3" in [label.get_text() for label in ax.get_yticklabels()]) is named
    assert max(figure.get_size_inches()) < 14


def test_the_choice_is_ringed() -> None:
    trials = [Trial({"l2": 1.0}, 0.2, 1.0), Trial({"l2": 0.1}, 0.6, 1.0)]
    ax = choice_picture({0: (trials, 1), 7: (trials, 0)}).axes[0]
    lines = [
        (line.get_xdata().tolist(), line.get_ydata().tolist())
        for line in ax.lines
        if len(line.get_xdata()) > 1
    ]
    rings = [(line.get_xdata()[0], line.get_ydata()[0]) for line in ax.lines if len(line.get_xdata()) == 1]
    assert lines == [([1.0, 0.1], [20.0, 60.0])] * 2
    assert rings == [(0.1, 60.0), (1.0, 20.0)]
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["seed 0", "seed 7"]
