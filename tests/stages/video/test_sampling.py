"""Frame numbers of clips: by hand for the policies, by hypothesis for what must always hold."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stages.video.sampling import frame_numbers, random_start, window_starts
from stages.video.spec import Clip

clips = st.builds(
    Clip, frames=st.integers(1, 40), stride=st.integers(1, 6), pad=st.sampled_from(["first", "last", "loop"])
)


@pytest.mark.parametrize(
    "frames, start, clip, expected",
    [
        (10, 3, {"frames": 4}, [3, 4, 5, 6]),
        (10, 0, {"frames": 4, "stride": 3}, [0, 3, 6, 9]),
        (3, 0, {"frames": 5, "pad": "first"}, [0, 0, 0, 1, 2]),
        (3, 0, {"frames": 5, "pad": "last"}, [0, 1, 2, 2, 2]),
        (3, 0, {"frames": 5, "pad": "loop"}, [0, 1, 2, 0, 1]),
        (5, 0, {"frames": 4, "stride": 2, "pad": "first"}, [0, 0, 2, 4]),
        (5, 0, {"frames": 4, "stride": 2, "pad": "last"}, [0, 2, 4, 4]),
        (6, 0, {"frames": 4, "stride": 2, "pad": "last"}, [0, 2, 4, 5]),
        (5, 0, {"frames": 4, "stride": 2, "pad": "loop"}, [0, 2, 4, 1]),
        (5, 3, {"frames": 4, "pad": "first"}, [0, 0, 3, 4]),
        (1, 0, {"frames": 3, "pad": "loop"}, [0, 0, 0]),
    ],
)
def test_frame_numbers_by_hand(frames, start, clip, expected):
    got = frame_numbers(start, frames, Clip(**clip))
    assert got.dtype == np.int64
    assert got.tolist() == expected


@given(clips, st.integers(1, 200), st.data())
def test_frame_numbers_always(clip, frames, data):
    start = data.draw(st.integers(0, frames - 1))
    numbers = frame_numbers(start, frames, clip)
    assert numbers.shape == (clip.frames,)
    assert 0 <= numbers.min() and numbers.max() < frames
    inside = [start + i * clip.stride for i in range(clip.frames) if start + i * clip.stride < frames]
    expected = inside if clip.pad != "first" else inside[-len(inside) :]
    part = numbers[-len(inside) :] if clip.pad == "first" else numbers[: len(inside)]
    assert part.tolist() == expected
    if clip.pad != "loop":
        assert (np.diff(numbers) >= 0).all()


@pytest.mark.parametrize("start", [-1, 5])
def test_a_start_outside_of_the_video(start):
    with pytest.raises(ValueError, match="outside"):
        frame_numbers(start, 5, Clip(frames=2))


@given(clips, st.integers(1, 200), st.integers(0, 2**32))
def test_a_random_clip_lies_inside(clip, frames, seed):
    start = random_start(frames, clip, np.random.default_rng(seed))
    assert start == 0 if frames <= clip.span else 0 <= start <= frames - clip.span


def test_all_starts_occur_and_are_equally_likely():
    rng = np.random.default_rng(0)
    counts = np.bincount(
        [random_start(10, Clip(frames=4, stride=2), rng) for _ in range(4000)]
    )  # span 7: starts 0 to 3
    assert len(counts) == 4
    assert np.abs(counts - 1000).max() < 120  # four standard deviations


@pytest.mark.parametrize(
    "frames, clip, windows, expected",
    [
        (100, {"frames": 10}, 1, [45]),
        (100, {"frames": 10}, 2, [0, 90]),
        (100, {"frames": 10}, 4, [0, 30, 60, 90]),
        (12, {"frames": 10}, 5, [0, 1, 1, 2, 2]),  # 0, 0.5, 1, 1.5, 2 with halves rounded up
        (10, {"frames": 10}, 3, [0, 0, 0]),
        (4, {"frames": 10}, 2, [0, 0]),
        (20, {"frames": 4, "stride": 3}, 3, [0, 5, 10]),
    ],
)
def test_window_starts_by_hand(frames, clip, windows, expected):
    got = window_starts(frames, Clip(**clip), windows)
    assert got.dtype == np.int64
    assert got.tolist() == expected


@given(clips, st.integers(1, 3000), st.integers(1, 50))
def test_windows_are_spread_evenly(clip, frames, windows):
    starts = window_starts(frames, clip, windows)
    last = max(0, frames - clip.span)
    assert len(starts) == windows
    if windows == 1:
        assert starts[0] == last // 2
        return
    assert starts[0] == 0 and starts[-1] == last
    assert np.abs(starts - np.linspace(0, last, windows)).max() <= 0.5


def test_no_windows():
    with pytest.raises(ValueError, match="at least 1"):
        window_starts(10, Clip(), 0)
