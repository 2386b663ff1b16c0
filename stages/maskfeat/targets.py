"""Targets of masked prediction: one vector for every token of the grid that the network predicts on.

Layout of a vector, slowest first. HOG: frame, colour, bin, row of cells, column of cells. Pixels: frame, row, column,
colour. Frames are one with ``frames: centre``. Nothing here depends on the other clips of a batch.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import adaptive_avg_pool3d, interpolate, normalize

from engine.errors import UserError
from stages.maskfeat.hog import hog
from stages.maskfeat.target_spec import (
    FeatureTarget,
    Grid,
    HogTarget,
    NormalisedPixelTarget,
    PixelTarget,
    Target,
)
from stages.nn.encoders import VideoEncoder


class Targets:
    """Makes the targets of clips of one size: vectors of length ``width`` on ``grid`` (time, height, width)."""

    def __init__(
        self, spec: Target, clip: tuple[int, int, int], grid: Grid, teacher: VideoEncoder | None = None
    ) -> None:
        """clip: frames, height and width in pixels. teacher: for ``features``, in eval mode on the device of the clips.

        Raises UserError when tokens of this size cannot have such targets, or the teacher makes no feature map.
        """
        frames, side = _covered(clip, grid)
        if message := spec.refuses(side):
            raise UserError(f"target {spec.kind}: {message}")
        self.spec, self.grid = spec, grid
        self._features: FeatureMap | None = None
        if isinstance(spec, FeatureTarget):
            assert teacher is not None, "features need a teacher"
            self._features = FeatureMap(teacher, clip)
            self.width = self._features.width
        else:
            self.width = spec.width(frames, side)

    @torch.no_grad()
    def __call__(self, clips: Tensor) -> Tensor:
        """clips: as the network sees them, but unmasked, [N, 3, T, H, W]. Returns float32 [N, T', h, w, width]."""
        if self._features is not None:
            return feature_targets(self._features(clips), self.grid)
        if isinstance(self.spec, HogTarget):
            return hog_targets(clips, self.grid, self.spec)
        return pixel_targets(clips, self.grid, self.spec)


def hog_targets(clips: Tensor, grid: Grid, spec: HogTarget) -> Tensor:
    """[N, 3, T, H, W] -> float32 [N, T', h, w, frames * 3 * bins * (cells of a token)]."""
    times, rows, columns = grid
    frames, side = _covered(tuple(clips.shape[2:]), grid)
    cells = hog(_chosen(clips, frames, spec.frames), spec)  # [N, 3, T, bins, H / cell, W / cell]
    inside = side // spec.cell
    parts = cells.reshape(len(clips), 3, times, -1, spec.bins, rows, inside, columns, inside)
    return parts.permute(0, 2, 5, 7, 3, 1, 4, 6, 8).reshape(len(clips), *grid, -1).float()


def pixel_targets(clips: Tensor, grid: Grid, spec: PixelTarget) -> Tensor:
    """[N, 3, T, H, W] -> float32 [N, T', h, w, frames * side * side * 3]."""
    times, rows, columns = grid
    frames, side = _covered(tuple(clips.shape[2:]), grid)
    with torch.autocast(clips.device.type, enabled=False):
        chosen = _chosen(clips, frames, spec.frames).float()
        parts = chosen.reshape(len(clips), 3, times, -1, rows, side, columns, side)
        vectors = parts.permute(0, 2, 4, 6, 3, 5, 7, 1).reshape(len(clips), *grid, -1)
        if not isinstance(spec, NormalisedPixelTarget):
            return vectors
        variance, mean = torch.var_mean(vectors, dim=-1, keepdim=True, correction=1)
        return (vectors - mean) / (variance + spec.epsilon).sqrt()


def feature_targets(maps: Tensor, grid: Grid) -> Tensor:
    """Maps of a teacher [N, D, t, y, x] -> float32 [N, T', h, w, D], each vector of length 1.

    Axes longer than the grid are averaged down to it, shorter ones interpolated linearly.
    """
    with torch.autocast(maps.device.type, enabled=False):
        averaged = adaptive_avg_pool3d(maps.float(), [min(a, b) for a, b in zip(maps.shape[2:], grid)])
        if averaged.shape[2:] != grid:
            averaged = interpolate(averaged, grid, mode="trilinear", align_corners=False)
        return normalize(averaged.movedim(1, -1), dim=-1)


class FeatureMap:
    """The last feature map of a frozen encoder: its tokens where it has any, else the map whose mean is its feature."""

    def __init__(self, encoder: VideoEncoder, clip: tuple[int, int, int]) -> None:
        """Looks for the map with a trial clip. Raises UserError when no map has the feature as its mean."""
        self._encoder, self._place = encoder, None
        self.width = encoder.features
        if not hasattr(encoder, "tokens"):
            self._place = _averaged_module(encoder, clip)

    @torch.no_grad()
    def __call__(self, clips: Tensor) -> Tensor:
        """[N, 3, T, H, W] -> [N, D, t, y, x]."""
        if self._place is None:
            return self._encoder.tokens(clips, None).movedim(-1, 1)
        maps: list[Tensor] = []
        handle = self._place.register_forward_hook(lambda module, inputs, output: maps.append(output))
        try:
            self._encoder(clips)
        finally:
            handle.remove()
        return maps[0]


def constant_loss(vectors: Tensor) -> Tensor:
    """Mean squared error of the best constant prediction for targets [M, width]: the variance, averaged over the width.

    What a head reaches that looks at nothing; about 0.05 for HOG, 1 for normalised pixels. A scalar, 0 for M = 0.
    """
    if not len(vectors):
        return vectors.new_zeros(())
    return vectors.float().var(0, correction=0).mean()


def mask_on_grid(mask: Tensor, grid: Grid) -> Tensor:
    """Every token that lies in a masked cell: bool [N, T', H', W'] -> [N, *grid], a multiple of the mask's cells."""
    for axis, size in enumerate(grid, start=1):
        assert size % mask.shape[axis] == 0, f"{size} tokens are no whole cells of a mask of {mask.shape[axis]}"
        mask = mask.repeat_interleave(size // mask.shape[axis], axis)
    return mask


def _averaged_module(encoder: VideoEncoder, clip: tuple[int, int, int]) -> nn.Module:
    """The first module whose output [1, D, t, y, x] has the encoder's feature as its mean."""
    outputs: list[tuple[nn.Module, Tensor]] = []

    def keep(module: nn.Module, inputs: tuple[Tensor, ...], output: object) -> None:
        if isinstance(output, Tensor) and output.ndim == 5 and output.shape[1] == encoder.features:
            outputs.append((module, output))

    handles = [module.register_forward_hook(keep) for module in encoder.modules()]
    try:
        with torch.no_grad():
            device = next(encoder.parameters()).device
            trial = torch.linspace(-1, 1, 3 * clip[0] * clip[1] * clip[2], device=device).view(1, 3, *clip)
            feature = encoder(trial)
    finally:
        for handle in handles:
            handle.remove()
    for module, output in outputs:
        if torch.allclose(output.float().mean((2, 3, 4)), feature.float(), rtol=1e-3, atol=1e-4):
            return module
    raise UserError(
        f"the teacher's network ({type(encoder.body).__name__}) averages no feature map: "
        "choose a convolutional one or an MViT"
    )


def _covered(clip: tuple[int, ...], grid: Grid) -> tuple[int, int]:
    """Frames and side in pixels of a token. Raises UserError when tokens do not tile the clip, or are not square."""
    frames, height, width = (a // b for a, b in zip(clip, grid))
    if tuple(a * b for a, b in zip((frames, height, width), grid)) != tuple(clip):
        raise UserError(f"{' x '.join(map(str, grid))} tokens do not tile a clip of {' x '.join(map(str, clip))}")
    if height != width:
        raise UserError(f"tokens of {height} x {width} pixels: targets need square ones")
    return frames, height


def _chosen(clips: Tensor, frames: int, which: str) -> Tensor:
    """The frames that are predicted, of tokens of ``frames`` frames; [N, 3, T, H, W] -> [N, 3, chosen, H, W]."""
    return clips if which == "all" else clips[:, :, ::frames]
