"""The files: real H.264, the same bytes for the same frames, each frame compressed for itself."""

from __future__ import annotations

import av
import numpy as np
import pytest

from stages.synthetic.render import render
from stages.synthetic.scene import draw_scene
from stages.synthetic.spec import Recipe
from stages.synthetic.video import write_mp4


def frames_of(index: int) -> np.ndarray:
    return render(draw_scene(Recipe(size=48, frames=6), "train", index), 4.0, np.random.default_rng(index))


def decoded(path) -> np.ndarray:
    with av.open(str(path)) as container:
        return np.stack([frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)])


def test_it_is_h264_with_what_was_asked_for(tmp_path):
    frames = frames_of(0)
    write_mp4(tmp_path / "new" / "a.mp4", frames, fps=12, qp=10, gop=1)
    with av.open(str(tmp_path / "new" / "a.mp4")) as container:
        stream = container.streams.video[0]
        assert (stream.codec_context.name, stream.pix_fmt) == ("h264", "yuv420p")
        assert (stream.width, stream.height, stream.frames, stream.average_rate) == (48, 48, 6, 12)
        assert all(packet.is_keyframe for packet in container.demux(stream) if packet.size)
    error = decoded(tmp_path / "new" / "a.mp4").astype(float) - frames
    assert np.sqrt((error**2).mean()) < 20  # colour has half the resolution
    assert np.sqrt((error.mean(-1) ** 2).mean()) < 8


def test_same_frames_give_the_same_bytes_without_names_or_times(tmp_path):
    for name in ("a.mp4", "another.mp4"):
        write_mp4(tmp_path / name, frames_of(1), fps=16, qp=20, gop=1)
    content = (tmp_path / "a.mp4").read_bytes()
    assert content == (tmp_path / "another.mp4").read_bytes()
    assert b"Lavf" not in content and str(tmp_path).encode() not in content


@pytest.mark.parametrize(("gop", "alone"), [(1, True), (6, False)])
def test_compression_of_a_frame_depends_on_that_frame_alone(tmp_path, gop, alone):
    """So that motion leaves no traces in a single frame; predicted frames (the control) do differ."""
    one, other = frames_of(2), frames_of(3)
    other[4] = one[4]
    for name, frames in (("one.mp4", one), ("other.mp4", other)):
        write_mp4(tmp_path / name, frames, fps=16, qp=20, gop=gop)
    assert np.array_equal(decoded(tmp_path / "one.mp4")[4], decoded(tmp_path / "other.mp4")[4]) == alone
