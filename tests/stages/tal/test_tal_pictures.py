"""The pictures of localisation show what they say, also of nothing, and are the same every time."""

from __future__ import annotations

import numpy as np
import pytest
from matplotlib.colors import same_color

from engine.run.pictures import save_picture
from stages.tal.detection_map import detection_map, tiou_thresholds
from stages.tal.pictures import HUES, LANES, QUIET, precision_recall, side_by_side, spread_videos, timelines
from stages.tal.segments import Segments

CLASSES = ("long_jump", "pays $5 or $6", "swim")
VIDEOS = ("validation/v_wONwHYy59Tc.mp4", "b.mp4", "c.mp4")
TRUTH = Segments.of([(0, 10, 20, 0, 1), (0, 15, 40, 1, 1), (1, 0, 0, 2, 1)])
DETECTIONS = Segments.of(
    [(0, 10, 19, 0, 0.9), (0, 0, 45, 2, 0.5), *((0, 15, 16 + n, 1, 0.4 - n / 100) for n in range(20))]
)
DURATIONS = np.array([50.0, 0.0, 9.0])


def drawn_timelines():
    return timelines(TRUTH, DETECTIONS, VIDEOS, DURATIONS, CLASSES)


def texts(ax):
    return [text.get_text() for text in ax.texts]


def test_a_timeline_shows_truth_and_the_best_detections():
    first, second = drawn_timelines().axes
    bars = [bar for container in first.containers for bar in container]
    assert len(bars) == 2 + LANES
    spans = [(bar.get_x(), bar.get_x() + bar.get_width()) for bar in bars]
    assert spans[:4] == [(10, 20), (15, 40), (10, 19), (0, 45)]
    for bar, colour in zip(bars, (HUES[0], HUES[1], HUES[0], QUIET, HUES[1])):
        assert same_color(bar.get_facecolor()[:3], colour)
    assert bars[2].get_alpha() > bars[3].get_alpha() > bars[4].get_alpha()
    assert first.get_xlim() == (0, 50) and "no detections" in texts(second)
    assert texts(first)[:4] == ["0.90", "0.90", "0.50", "0.00"]  # score and tIoU with its class, lane by lane


def test_headings_name_video_and_classes():
    first, second = (texts(ax) for ax in drawn_timelines().axes)
    assert [VIDEOS[0], "long jump", r"pays \$5 or \$6", "other classes"] == first[-4:]
    assert second[-2:] == ["b.mp4", "swim"]


def test_overlapping_segments_do_not_cover_each_other():
    segments = Segments.of(
        [(0, 10, 20, 0, 1), (0, 15, 40, 1, 1), (0, 20, 30, 0, 1), (0, 0, 10, 0, 1), (0, 16, 18, 0, 1)]
    )
    assert side_by_side(segments).tolist() == [0, 1, 0, 0, 2]


def test_videos_shown_are_spread_over_the_classes():
    truth = Segments.of([(video, 0, 1, video // 10, 1) for video in range(60)])
    assert spread_videos(truth, 6) == [0, 10, 20, 30, 40, 50]
    assert [video // 10 for video in spread_videos(truth, 3)] == [0, 2, 5]
    assert spread_videos(Segments.of([(4, 0, 1, 0, 1), (2, 0, 1, 0, 1), (4, 3, 4, 0, 1)])) == [2, 4]
    assert spread_videos(Segments.of([])) == []


def test_precision_recall_curves_and_classes():
    result = detection_map(TRUTH, DETECTIONS, tiou_thresholds())
    left, right = precision_recall(result, CLASSES).axes
    assert len(left.lines) == 10 and left.get_title("left") == f"average mAP {100 * result.average_map:.2f} %"
    assert np.array_equal(left.lines[0].get_ydata(), 100 * result.mean_curve()[1][0])
    assert {label.get_text() for label in right.get_yticklabels()} == {
        "long jump",
        r"pays \$5 or \$6",
        "swim",
    }
    widths = [bar.get_width() for bar in right.containers[1]]
    assert widths == pytest.approx(sorted(100 * result.ap.mean(axis=0), reverse=True))


def test_of_many_classes_the_best_and_the_worst_are_named():
    truth = Segments.of([(0, 0, 1, label, 1) for label in range(60)])
    found = Segments.of([(0, 0, 1, label, 1) for label in range(30)])
    right = precision_recall(detection_map(truth, found, [0.5]), [f"c{n}" for n in range(60)]).axes[1]
    names = [label.get_text() for label in right.get_yticklabels()]
    assert names == [f"c{n}" for n in (*range(12), *range(48, 60))] and texts(right) == ["36 classes between"]


def test_they_are_the_same_every_time(tmp_path):
    result = detection_map(TRUTH, DETECTIONS, [0.5])
    for name, draw in (("timelines", drawn_timelines), ("curves", lambda: precision_recall(result, CLASSES))):
        first, second = (save_picture(tmp_path / f"{name}{n}.png", draw()).read_bytes() for n in range(2))
        assert first == second and len(first) > 10_000


def test_without_anything_the_picture_is_empty(tmp_path):
    nothing = Segments.of([])
    save_picture(tmp_path / "empty.png", timelines(nothing, nothing, VIDEOS, DURATIONS, CLASSES))
