"""Which frames of a video make a clip. Arithmetic on frame numbers only; randomness comes in from outside."""

from __future__ import annotations

import numpy as np

from stages.video.spec import Clip


def random_start(frames: int, clip: Clip, rng: np.random.Generator) -> int:
    """A start from which the clip lies inside a video of ``frames`` frames, all such starts being equally likely.

    0 for a video that is not longer than the clip. Unlike CoCLR's loader, the last start is not left out.
    """
    return int(rng.integers(0, max(1, frames - clip.span + 1)))


def frame_numbers(start: int, frames: int, clip: Clip) -> np.ndarray:
    """Numbers of the clip's frames, int64 [clip.frames], all in [0, frames).

    Where the video ends before the clip does, the clip is filled by the policy ``clip.pad``:
    ``first``: the frames there are stand at the end of the clip, the video's first frame is repeated before them
    (as CoCLR's loader does); ``last``: the last frame is repeated after them; ``loop``: the video begins anew.
    Raises ValueError when ``start`` is not a frame of the video.
    """
    if not 0 <= start < frames:
        raise ValueError(f"start {start} is outside of a video of {frames} frames")
    numbers = start + clip.stride * np.arange(clip.frames, dtype=np.int64)
    if numbers[-1] < frames:
        return numbers
    if clip.pad == "loop":
        return numbers % frames
    there = numbers[numbers < frames]
    missing = clip.frames - len(there)
    if clip.pad == "first":
        return np.concatenate([np.zeros(missing, np.int64), there])
    return np.concatenate([there, np.full(missing, frames - 1, np.int64)])


def window_starts(frames: int, clip: Clip, windows: int) -> np.ndarray:
    """Starts of ``windows`` clips spread evenly from the first to the last possible one, int64 [windows].

    One window lies in the middle. A video that is not longer than the clip yields zeros: all windows are the same.
    Raises ValueError when ``windows`` < 1.
    """
    if windows < 1:
        raise ValueError(f"windows must be at least 1, not {windows}")
    last = max(0, frames - clip.span)
    if windows == 1:
        return np.array([last // 2], np.int64)
    # integer arithmetic: rounding to nearest, the same on every machine
    return (2 * np.arange(windows, dtype=np.int64) * last + windows - 1) // (2 * (windows - 1))
