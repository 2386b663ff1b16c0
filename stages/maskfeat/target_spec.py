"""What is predicted under a mask, and how masks are drawn, as a spec names them."""

from __future__ import annotations

from typing import Annotated, Literal, Union

from pydantic import Field

from engine.spec.component import ModelRef, Strict

FRAMES_PER_TOKEN = 2
"""A token covers so many frames: the stride in time of MViT's patch embedding."""

Grid = tuple[int, int, int]
"""Cells in time, height and width."""

Frames = Annotated[
    Literal["centre", "all"],
    Field(
        description="centre: the first frame of each token, which is the middle of the three that its embedding sees; "
        "all: every frame of the token, one after another."
    ),
]


class Hog(Strict):
    """Histograms of oriented gradients of each colour. Defaults: those of MaskFeat's public code, but for the floor."""

    bins: int = Field(default=9, ge=2, le=64, description="Of unsigned orientation: equal parts of half a circle.")
    cell: int = Field(default=8, ge=2, description="Side of a cell in pixels.")
    kernel: Literal["sobel", "central"] = Field(
        default="sobel", description="Of the gradient: 3 x 3 Sobel, or the central difference (1, 0, -1)."
    )
    angle: Literal["from_vertical", "from_horizontal"] = Field(
        default="from_vertical",
        description="Where bin 0 begins: at vertical gradients, as in MaskFeat's public code, or at horizontal ones.",
    )
    floor: float = Field(
        default=1e-3,
        gt=0,
        description="A cell is divided by the length of its histogram, or by this if that is shorter. 1e-3 lies above "
        "the rounding errors of a flat cell (1e-4) and below one grey level of 8 bits (2e-2), so that only cells "
        "without content become short. "
        "The public code has 1e-12, which makes vectors of length 1 of rounding errors.",
    )
    gaussian_window: int = Field(
        default=0,
        ge=0,
        description="Votes are weighted by Gaussians of this side and half its deviation, one beside another; 0: none. "
        "The public code has none, mmselfsup 16.",
    )


class HogTarget(Hog):
    """Histograms of oriented gradients of the cells of a token."""

    kind: Literal["hog"] = "hog"
    frames: Frames = "centre"

    def width(self, frames: int, side: int) -> int:
        """Length of a token's vector; frames, side: what the token covers, in frames and pixels."""
        return _shown(self.frames, frames) * 3 * self.bins * (side // self.cell) ** 2

    def refuses(self, side: int) -> str | None:
        """Why tokens of ``side`` pixels cannot be described so; None when they can."""
        if side % self.cell:
            return (
                f"a token covers {side} x {side} pixels, which are no whole HOG cells of {self.cell}: "
                f"choose a cell that divides {side}"
            )
        window = self.gaussian_window
        if window and side % window and window % side:
            return f"gaussian_window of {window} fits no whole tokens of {side} pixels"
        return None


class PixelTarget(Strict):
    """The colours of the token as the network would see them."""

    kind: Literal["pixel"]
    frames: Frames = "centre"

    def width(self, frames: int, side: int) -> int:
        """Length of a token's vector; frames, side: what the token covers, in frames and pixels."""
        return _shown(self.frames, frames) * 3 * side**2

    def refuses(self, side: int) -> str | None:
        """None: any token has pixels."""
        return None


class NormalisedPixelTarget(PixelTarget):
    """The colours of the token less their mean, over their deviation."""

    kind: Literal["normalised_pixel"]  # type: ignore[assignment]
    epsilon: float = Field(default=1e-6, gt=0, description="Added to the variance.")


class FeatureTarget(Strict):
    """The last feature map of a frozen model, resized to the tokens, each vector scaled to length 1."""

    kind: Literal["features"]
    model: ModelRef = Field(description="The teacher: any model of the same view.")

    def refuses(self, side: int) -> str | None:
        """None: maps are resized to any tokens."""
        return None


Target = Annotated[Union[HogTarget, PixelTarget, NormalisedPixelTarget, FeatureTarget], Field(discriminator="kind")]


class _Mask(Strict):
    ratio: float = Field(default=0.4, gt=0, lt=1, description="Share of the clip that is masked.")
    cell: int = Field(default=32, ge=1, description="Side of a cell of the mask in pixels; in time a cell is a token.")

    def grid(self, frames: int, size: int) -> Grid:
        """Cells of a clip of ``frames`` frames of ``size`` x ``size`` pixels."""
        return frames // FRAMES_PER_TOKEN, size // self.cell, size // self.cell

    def asked(self, grid: Grid) -> int:
        """Cells that are to be masked."""
        raise NotImplementedError

    def refuses(self, frames: int, size: int, side: int) -> str | None:
        """Why clips of ``frames`` and ``size`` pixels, with predictions of ``side`` pixels, cannot be masked so."""
        if frames % FRAMES_PER_TOKEN:
            return f"a clip of {frames} frames has no whole tokens of {FRAMES_PER_TOKEN}"
        if size % self.cell:
            return f"cells of {self.cell} pixels do not tile clips of {size}: choose a mask cell that divides {size}"
        if self.cell % side:
            return f"mask cells of {self.cell} pixels are no whole predictions of {side}: choose a multiple of {side}"
        grid = self.grid(frames, size)
        times, rows, columns = grid
        if not 0 < self.asked(grid) < times * rows * columns:
            return (
                f"a ratio of {self.ratio:g} masks {self.asked(grid)} of {times} x {rows} x {columns} cells: "
                "nothing is left to learn"
            )
        return None


class _BlockMask(_Mask):
    sampler: Literal["faithful", "exact"] = Field(
        default="faithful",
        description="faithful: as in MaskFeat's public code, which often masks less than asked and the middle far more "
        "than the borders. exact: exactly what is asked, and nearly alike everywhere.",
    )

    def refuses(self, frames: int, size: int, side: int) -> str | None:
        problem = super().refuses(frames, size, side)
        if problem or self.sampler == "exact" or size // self.cell > 2:
            return problem
        cells = f"{size // self.cell} x {size // self.cell} mask cells"
        return f"{cells} leave the faithful sampler no blocks to draw: make `cell` smaller, or `sampler` exact"


class CubeMask(_BlockMask):
    """Blocks in space and time."""

    kind: Literal["cube"] = "cube"

    def asked(self, grid: Grid) -> int:
        times, rows, columns = grid
        return round(times * rows * columns * self.ratio)


class TubeMask(_BlockMask):
    """Blocks in space, alike at all times."""

    kind: Literal["tube"]

    def asked(self, grid: Grid) -> int:
        times, rows, columns = grid
        return times * round(rows * columns * self.ratio)


class FrameMask(_Mask):
    """Whole time steps."""

    kind: Literal["frame"]

    def asked(self, grid: Grid) -> int:
        times, rows, columns = grid
        return round(times * self.ratio) * rows * columns


Mask = Annotated[Union[CubeMask, TubeMask, FrameMask], Field(discriminator="kind")]


def _shown(which: str, frames: int) -> int:
    return frames if which == "all" else 1
