"""The contact sheet: some videos of the data set, a row of frames each, under their labels."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from stages.video.clips import Clips

if TYPE_CHECKING:
    from PIL.Image import Image

ROWS, FRAMES, HEIGHT, TEXT = 12, 8, 96, 18
"""Videos, frames of each, and pixels of a frame and of the line above it."""


def contact_sheet(clips: Clips) -> Image:
    """Rows spread evenly over classes and videos, frames spread evenly over each video: the same in every run."""
    from PIL import Image, ImageDraw

    rows = sample_rows(clips.targets)
    strips = [_strip(clips, int(row)) for row in rows]
    sheet = Image.new(
        "RGB", (max(s.shape[1] for s in strips) + 8, len(rows) * (HEIGHT + TEXT + 6) + 4), "white"
    )
    draw = ImageDraw.Draw(sheet)
    for i, (row, strip) in enumerate(zip(rows, strips)):
        y = 4 + i * (HEIGHT + TEXT + 6)
        text = f"{clips.labels[row]}  ·  {clips.splits[row]}  ·  {clips.paths[row]}  ·  {clips.frames[row]} frames"
        draw.text((4, y), text, fill="black", font=_font())
        sheet.paste(Image.fromarray(strip), (4, y + TEXT))
    return sheet


def sample_rows(targets: np.ndarray) -> list[int]:
    """At most ``ROWS`` rows: as many classes as possible, spread evenly; within each, videos spread evenly."""
    classes = sorted(set(targets.tolist()))
    chosen = [classes[i * len(classes) // ROWS] for i in range(ROWS)] if len(classes) > ROWS else classes
    out: list[int] = []
    for i, target in enumerate(chosen):
        members = np.flatnonzero(targets == target)
        share = min(len(members), (ROWS * (i + 1)) // len(chosen) - (ROWS * i) // len(chosen))
        out += [int(members[k * len(members) // share]) for k in range(share)]
    return out


def _strip(clips: Clips, row: int) -> np.ndarray:
    """Frames of one video side by side, uint8 [HEIGHT, W, 3]."""
    from PIL import Image

    numbers = np.arange(FRAMES) * int(clips.frames[row]) // FRAMES
    frames = clips.read(row, numbers)
    width = max(1, round(frames.shape[2] * HEIGHT / frames.shape[1]))
    small = [np.asarray(Image.fromarray(frame).resize((width, HEIGHT))) for frame in frames]
    return np.concatenate([np.pad(s, ((0, 0), (0, 2), (0, 0)), constant_values=255) for s in small], axis=1)


def _font() -> object:
    """DejaVu Sans, which comes with matplotlib and has more letters than PIL's own."""
    import matplotlib
    from PIL import ImageFont

    return ImageFont.truetype(f"{matplotlib.get_data_path()}/fonts/ttf/DejaVuSans.ttf", 12)
