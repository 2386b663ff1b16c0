"""Writing frames as an H.264 mp4 file whose bytes depend on the frames alone."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import numpy as np


def write_mp4(path: Path, frames: np.ndarray, fps: int, qp: int, gop: int) -> None:
    """Write frames uint8 [T, H, W, 3] (even sides) with libx264, yuv420p, one thread, a constant quantiser.

    A constant quantiser rather than x264's usual rate control, which looks at the neighbouring frames; with ``gop`` 1
    what compression does to a frame depends on that frame alone. No time or name of the muxer is written.
    """
    import av

    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w", format="mp4", options={"fflags": "+bitexact"}) as container:
        stream = container.add_stream("libx264", rate=Fraction(fps))
        stream.height, stream.width = frames.shape[1:3]
        stream.pix_fmt = "yuv420p"
        stream.codec_context.thread_count = 1
        stream.options = {"preset": "veryfast", "qp": str(qp), "g": str(gop), "flags": "+bitexact"}
        for frame in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        container.mux(stream.encode())
