"""Small videos of every make, written by the tests themselves, and the shared samples."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import av
import numpy as np
import pytest


@pytest.fixture(scope="session")
def data() -> Path:
    """The folder of shared sample videos; tests that need it are skipped where it is absent."""
    folder = Path(__file__).resolve().parents[3].parent / "shared" / "data"
    if not folder.is_dir():
        pytest.skip("the shared sample videos are not here")
    return folder


@pytest.fixture
def noise() -> Callable[..., np.ndarray]:
    """Frames that are all different: uint8 [frames, height, width, 3], smooth enough to survive a codec."""

    def make(frames: int, width: int = 48, height: int = 32, seed: int = 0) -> np.ndarray:
        coarse = np.random.default_rng(seed).integers(
            0, 256, (frames, height // 8 + 1, width // 8 + 1, 3), np.uint8
        )
        return coarse.repeat(8, axis=1).repeat(8, axis=2)[:, :height, :width]

    return make


@pytest.fixture
def write_video() -> Callable[..., Path]:
    """Encode frames, uint8 [frames, height, width, 3], into a file; the container follows from its name."""

    def write(
        path: Path,
        frames: np.ndarray,
        codec: str = "libx264",
        options: Mapping[str, str] | None = None,
        pix_fmt: str = "yuv420p",
        gop: int = 12,
        rate: int = 25,
        container_options: Mapping[str, str] | None = None,
    ) -> Path:
        with av.open(str(path), "w", container_options=dict(container_options or {})) as container:
            stream = container.add_stream(codec, rate=rate, options=dict(options or {}))
            stream.height, stream.width = frames.shape[1:3]
            stream.pix_fmt, stream.gop_size = pix_fmt, gop
            stream.codec_context.thread_count = 1
            for picture in frames:
                container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
            container.mux(stream.encode(None))
        return path

    return write


@pytest.fixture
def decode_all() -> Callable[[Path], np.ndarray]:
    """The reference: every frame of the first video stream in order, RGB at stored size, uint8 [frames, h, w, 3]."""

    def decode(path: Path) -> np.ndarray:
        with av.open(str(path)) as container:
            return np.stack(
                [f.to_ndarray(format="rgb24") for f in container.decode(container.streams.video[0])]
            )

    return decode
