"""Pictures of curves."""

from __future__ import annotations

from stages.nn.curves import curve_picture


def test_a_panel_holds_its_metrics_and_leaves_out_what_was_never_logged():
    points = [(1, {"loss": 3.0}), (1, {"rank": 1.0}), (5, {"loss": 2.0})]
    figure = curve_picture(points, {"loss": ("loss", "absent"), "rank": ("rank",)})
    loss, rank = figure.axes
    (line,) = loss.lines
    assert line.get_xydata().tolist() == [[1, 3.0], [5, 2.0]]
    assert rank.lines[0].get_xydata().tolist() == [[1, 1.0]]
