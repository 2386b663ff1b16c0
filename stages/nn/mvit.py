"""Multiscale vision transformers over torchvision's blocks, which take clips of any legal size on the same weights.

torchvision's own ``forward`` reads the number of tokens from its constructor and fails for every other; its blocks do
not: each is given its true grid here, and its attention resizes the tables of relative positions to it. Names and
shapes of the weights are torchvision's.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torchvision.models.video import mvit

from stages.nn.mvit_layouts import Layout

Grid = tuple[int, int, int]
"""Tokens in time, height and width."""

CLASSES = 400
"""Of the classifier that torchvision draws too and that is dropped here, so that a seed gives what it gives there."""


class MViT(mvit.MViT):
    """An MViT without its classifier. ``features`` is the width of its output.

    pool: what a clip's vector is. ``class_token``: that of the normalised class token, as in torchvision; ``mean``: the
    mean over all others, normalised after, as MaskFeat is finetuned.
    drop_path: rate of stochastic depth in the last block; it grows linearly from 0 in the first.
    """

    def __init__(
        self, layout: Layout, pool: Literal["class_token", "mean"] = "class_token", drop_path: float = 0.0
    ) -> None:
        time, side = layout.patch
        kernel = (2 * time - 1, 2 * side - 1, 2 * side - 1)
        super().__init__(
            spatial_size=(layout.size, layout.size),
            temporal_size=layout.frames,
            block_setting=layout.blocks(),
            residual_pool=True,
            residual_with_cls_embed=False,
            rel_pos_embed=True,
            proj_after_attn=layout.grow == "attention",
            stochastic_depth_prob=drop_path,
            num_classes=CLASSES,
            patch_embed_kernel=kernel,
            patch_embed_stride=(time, side, side),
            patch_embed_padding=tuple(k // 2 for k in kernel),
        )
        self.head = nn.Identity()
        self.pool = pool
        self.features = layout.features

    def forward(self, clips: Tensor) -> Tensor:
        """clips: [N, C, T, H, W], T and the sides multiples of the patch's. Returns [N, features]."""
        tokens, _ = self._encode(clips, None, None)
        if self.pool == "mean":
            return self.norm(tokens[:, 1:].mean(1))
        return self.norm(tokens)[:, 0]

    def tokens(self, clips: Tensor, mask: Tensor | None = None, mask_token: Tensor | None = None) -> Tensor:
        """What the last block says of each place, without its norm: [N, T', h, w, features].

        clips: [N, C, T, H, W]. mask: bool [N, t, y, x], on a grid that divides that of the patch embedding in time,
        height and width; where it is True, ``mask_token`` (as many numbers as the embedding is wide) stands for the
        patch. Raises ValueError when the mask's grid does not divide it.
        """
        tokens, grid = self._encode(clips, mask, mask_token)
        return tokens[:, 1:].unflatten(1, grid)

    def _encode(self, clips: Tensor, mask: Tensor | None, mask_token: Tensor | None) -> tuple[Tensor, Grid]:
        """Class token and all others, [N, 1 + T' h w, features], and their grid."""
        stride = self.conv_proj.stride
        if clips.dim() != 5 or any(n % s for n, s in zip(clips.shape[2:], stride)):
            wanted = f"clips [N, C, T, H, W] of multiples of {stride} frames and pixels are wanted"
            raise ValueError(f"{wanted}, not {tuple(clips.shape)}")
        maps = self.conv_proj(clips)
        grid: Grid = tuple(maps.shape[2:])
        tokens = maps.flatten(2).transpose(1, 2)
        if mask is not None:
            hidden = spread(mask, grid).flatten(1).unsqueeze(2)
            tokens = torch.where(hidden, mask_token.flatten().to(tokens.dtype), tokens)
        tokens = self.pos_encoding(tokens)
        for block in self.blocks:
            tokens, grid = block(tokens, grid)
        return tokens, grid


def spread(mask: Tensor, grid: Grid) -> Tensor:
    """A mask [N, t, y, x] on a finer grid: [N, *grid]. Raises ValueError when ``grid`` is no multiple of its own."""
    if mask.dim() != 4 or any(fine % coarse for fine, coarse in zip(grid, mask.shape[1:])):
        raise ValueError(f"a mask of {tuple(mask.shape[1:])} cells does not divide the patches of the clips, {grid}")
    for axis, fine in enumerate(grid, start=1):
        mask = mask.repeat_interleave(fine // mask.shape[axis], dim=axis)
    return mask


def set_drop_path(network: MViT, rate: float) -> None:
    """Rate of stochastic depth in the last block; it grows linearly from 0 in the first."""
    for i, block in enumerate(network.blocks):
        block.stochastic_depth.p = rate * i / max(len(network.blocks) - 1, 1)


def resize_table(table: Tensor, rows: int) -> Tensor:
    """A table of relative positions, [r, D], stretched linearly to ``rows``; [rows, D]."""
    if len(table) == rows:
        return table
    return F.interpolate(table.T.unsqueeze(0), size=rows, mode="linear").squeeze(0).T


def fit_tables(state: Mapping[str, Tensor], wanted: Mapping[str, Tensor], prefix: str = "") -> dict[str, Tensor]:
    """``state``, its tables of relative positions resized where those of ``wanted`` have another length.

    So weights go from pre-training, where the last stride is left out, to finetuning and back, and from one clip size
    to another. prefix: what stands before the names of ``wanted`` in ``state``.
    """
    fitted = dict(state)
    for name, blank in wanted.items():
        if ".rel_pos_" in name and prefix + name in state:
            fitted[prefix + name] = resize_table(state[prefix + name], len(blank)).contiguous()
    return fitted


def transfer(source: MViT, target: MViT) -> None:
    """Give ``target`` the weights of ``source``, a network of the same blocks with other strides or for other clips.

    Raises RuntimeError, as torch does, when the blocks are not the same.
    """
    with torch.no_grad():
        target.load_state_dict(fit_tables(source.state_dict(), target.state_dict()))
