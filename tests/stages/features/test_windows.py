"""Which windows a frozen network sees, and the mean over them."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from stages.features.spec import Look
from stages.features.windows import BATCH, VideoMeans, WindowBatches, starts, steps_of
from stages.video.crops import evaluation_crops
from stages.video.flow_spec import Flow
from stages.video.sampling import frame_numbers
from stages.video.spec import Clip, Rgb
from stages.video.transforms import evaluation_clip
from stages.video.views import ViewReader

CLIP = Clip(frames=4, stride=2, size=16)  # spans 7 frames


def look(windows, clip: Clip = CLIP) -> Look:
    return Look(clip=clip, windows=windows, precision="fp32")


def test_starts_by_hand() -> None:
    assert starts(27, CLIP, 3).tolist() == [0, 10, 20]
    assert starts(27, CLIP, 1).tolist() == [10]


def test_a_short_video_has_each_window_once() -> None:
    assert starts(8, CLIP, 5).tolist() == [0, 1]
    assert starts(3, CLIP, 5).tolist() == [0]


def test_half_overlap_is_the_papers() -> None:
    clip = Clip(frames=32, size=16)
    assert starts(80, clip, "half_overlap").tolist() == [0, 15, 30, 45]  # 60 would end at 92
    assert starts(32, clip, "half_overlap").tolist() == [0]
    assert starts(5, clip, "half_overlap").tolist() == [0]
    assert starts(47, clip, "half_overlap").tolist() == [0, 15]
    assert starts(9, Clip(frames=1, size=16), "half_overlap").tolist() == list(range(9))


@given(
    st.integers(1, 200), st.integers(1, 12), st.integers(1, 4), st.integers(1, 10) | st.just("half_overlap")
)
def test_windows_lie_inside_the_video(frames: int, length: int, stride: int, windows) -> None:
    clip = Clip(frames=length, stride=stride, size=16)
    found = starts(frames, clip, windows)
    assert len(found) >= 1 and found[0] >= 0
    assert (np.diff(found) > 0).all()
    assert found[-1] <= max(0, frames - clip.span)


def test_batches_are_the_windows_read_one_by_one(make_clips) -> None:
    clips = make_clips([(i % 2, "train") for i in range(9)], frames=[3, 30, 7, 8, 50, 12, 9, 20, 40])
    rows = np.array([0, 1, 3, 4, 8])
    batches = WindowBatches.of(ViewReader(Rgb(), clips), rows, look(13))
    pixels, videos = zip(*(batches[i] for i in range(len(batches))))
    assert [len(p) for p in pixels[:-1]] == [BATCH] * (len(batches) - 1)
    pixels, videos = torch.cat(pixels), torch.cat(videos)

    expected, owners = [], []
    for position, row in enumerate(rows):
        for start in starts(int(clips.frames[row]), CLIP, 13):
            numbers = frame_numbers(int(start), int(clips.frames[row]), CLIP)
            expected.append(evaluation_clip(clips.read(int(row), numbers), CLIP.size))
            owners.append(position)
    assert videos.tolist() == owners
    assert torch.equal(pixels, torch.stack(expected))


def test_no_videos_no_batches(make_clips) -> None:
    assert (
        len(WindowBatches.of(ViewReader(Rgb(), make_clips([(0, "train")])), np.array([], int), look(2))) == 0
    )


def test_means_by_hand_and_over_a_stop() -> None:
    means = VideoMeans(2, 3, 1)
    means.add(torch.tensor([[[1.0], [5.0]], [[2.0], [4.0]]]), torch.tensor([0, 2]))
    later = VideoMeans(2, 3, 1)
    later.load_state_dict(means.state_dict())
    later.add(torch.tensor([[[3.0]], [[6.0]]]), torch.tensor([0]))
    assert later.means()[:, :, 0].tolist() == [[2.0, 0.0, 5.0], [4.0, 0.0, 4.0]]


@pytest.mark.parametrize("frames", [1, 2])
def test_a_video_shorter_than_the_clip_is_padded(make_clips, frames: int) -> None:
    clips = make_clips([(0, "train")], frames=frames)
    pixels, _ = WindowBatches.of(ViewReader(Rgb(), clips), np.array([0]), look(4))[0]
    assert pixels.shape == (1, 3, 4, 16, 16)


def moving_right(clips) -> ViewReader:
    """A flow view, in which noise stands for the flow of each frame."""

    class Noise:
        def read(self, row: int, numbers: np.ndarray) -> np.ndarray:
            return np.stack(
                [np.random.default_rng((row, n)).integers(1, 256, (30, 40, 2), np.uint8) for n in numbers]
            )

    return ViewReader(Flow(kind="flow"), clips, Noise())


@pytest.mark.parametrize("view", ["rgb", "flow"])
def test_ten_crops_are_cut_and_mirrored_window_by_window(make_clips, view: str) -> None:
    clips = make_clips([(0, "train"), (1, "train")], frames=[12, 5])
    reader = ViewReader(Rgb(), clips) if view == "rgb" else moving_right(clips)
    crops = evaluation_crops("ten", 0.8)
    batches = WindowBatches.of(reader, np.array([0, 1]), look(3), crops)
    assert (batches.clips, len(batches)) == (40, 2)
    pixels, videos = (torch.cat(parts) for parts in zip(batches[0], batches[1]))
    assert videos.tolist() == [0] * 30 + [1] * 10

    expected = []
    for row, firsts in ((0, (0, 3, 5)), (1, (0,))):
        for first in firsts:
            frames = reader.read(row, frame_numbers(first, int(clips.frames[row]), CLIP))
            for top, left in ((3, 8), (0, 0), (0, 16), (6, 0), (6, 16)):  # squares of 24 in 30 x 40
                clip = evaluation_clip(frames[:, top : top + 24, left : left + 24], CLIP.size)
                flipped = clip.flip(-1)
                if view == "flow":
                    flipped[0] = 256 - flipped[0].clamp(min=1).int()  # u
                expected += [clip, flipped]
    assert torch.equal(pixels, torch.stack(expected))


@pytest.mark.parametrize("batches", [0, 1, 5, 2000, 2001, 4001])
def test_steps_are_all_batches_in_order_and_not_too_many(batches: int) -> None:
    steps = steps_of(batches)
    assert [batch for step in steps for batch in step] == list(range(batches))
    assert len(steps) == min(batches, 2000) or batches > 2000 and len(steps) <= 2000
