"""The costly parts of torchvision's MViT blocks in another order of computation, on the same weights.

Pooling convolutions: tokens already lie channels last, and are convolved so. On a CPU the gradients come from
two-dimensional kernels, one for each moment of the kernel, for torch has no fast ones for depthwise volumes.

Attention: the decomposed relative positions of MViTv2 (section 4.1, equation 4) add to the logit of query q and key k
a product of q with a row for each axis. As the places of a key are known beforehand, the sum is one inner product of
longer vectors: after the query its products with all rows of each axis, after the key a 1 at its place on each axis.
The biases of all pairs are then never in memory; nor, with ``scaled_dot_product_attention``, are their logits, which
is what GPUs get. On a CPU plain products are as fast, and are used. ``benchmarks/mvit_attention.py`` measures both on
either.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn import functional as F
from torchvision.models.video import mvit

Grid = tuple[int, int, int]
Kernel = Callable[[Tensor, Tensor, Tensor], Tensor]


def use_fast_kernels(network: nn.Module) -> None:
    """Let the blocks of an MViT with class token and relative positions in ``network`` compute so from now on."""
    for part in network.modules():
        if type(part) is mvit.Pool and isinstance(part.pool, nn.Conv3d):
            part.__class__ = TokenPool
        elif type(part) is mvit.Pool:
            part.__class__ = SkipPool
        elif type(part) is mvit.MultiscaleAttention and part.rel_pos_h is not None and not part.residual_with_cls_embed:
            part.__class__ = FusedAttention


class TokenPool(mvit.Pool):
    """A depthwise convolution of all tokens but the class token, and a norm of all."""

    def forward(self, tokens: Tensor, grid: Grid) -> tuple[Tensor, Grid]:
        """tokens: [N, heads, 1 + T H W, D]. Returns the pooled tokens and their grid."""
        patches = tokens[:, :, 1:].flatten(0, 1).unflatten(1, grid)
        maps = depthwise(patches, self.pool.weight, self.pool.stride, self.pool.padding)
        pooled = maps.flatten(1, 3).unflatten(0, tokens.shape[:2])
        return self.norm_act(torch.cat((tokens[:, :, :1], pooled), dim=2)), tuple(maps.shape[1:4])


class SkipPool(mvit.Pool):
    """The max pool of a skip connection, which leaves time as it is.

    It pools pictures, since for volumes torch has no deterministic gradient on GPUs.
    """

    def forward(self, tokens: Tensor, grid: Grid) -> tuple[Tensor, Grid]:
        """tokens: [N, 1 + T H W, D]. Returns the pooled tokens and their grid."""
        pictures = tokens[:, 1:].unflatten(1, grid).flatten(0, 1).permute(0, 3, 1, 2)
        _, *space = zip(self.pool.kernel_size, self.pool.stride, self.pool.padding)
        pooled = F.max_pool2d(pictures, *zip(*space)).permute(0, 2, 3, 1)
        patches = pooled.unflatten(0, (len(tokens), grid[0]))
        return torch.cat((tokens[:, :1], patches.flatten(1, 3)), dim=1), tuple(patches.shape[1:4])


class FusedAttention(mvit.MultiscaleAttention):
    """Pooled attention whose relative positions are part of the inner products."""

    def forward(self, tokens: Tensor, grid: Grid) -> tuple[Tensor, Grid]:
        """tokens: [N, 1 + T H W, embed_dim]. Returns [N, 1 + T' H' W', output_dim] and the grid of the queries."""
        shape = (3, self.num_heads, self.head_dim)
        query, key, value = self.qkv(tokens).unflatten(2, shape).permute(2, 0, 3, 1, 4).unbind(0)
        places = grid
        if self.pool_k is not None:
            key, places = self.pool_k(key, grid)
            value, _ = self.pool_v(value, grid)
        if self.pool_q is not None:
            query, grid = self.pool_q(query, grid)
        biases = position_biases(query, grid, places, (self.rel_pos_t, self.rel_pos_h, self.rel_pos_w))
        mixed = attend(self.scaler * query, biases, key, one_hot_places(places, key), value)
        if self.residual_pool:
            mixed = torch.cat((mixed[:, :, :1], mixed[:, :, 1:] + query[:, :, 1:]), dim=2)
        return self.project(mixed.transpose(1, 2).flatten(2)), grid


def attend(query: Tensor, biases: Tensor, key: Tensor, places: Tensor, value: Tensor) -> Tensor:
    """``attend_with`` the attention that suits the device."""
    return attend_with(KERNELS["plain" if query.device.type == "cpu" else "fused"], query, biases, key, places, value)


def attend_with(kernel: Kernel, query: Tensor, biases: Tensor, key: Tensor, places: Tensor, value: Tensor) -> Tensor:
    """Attention with logits ``query . key + biases . places``.

    query: [N, heads, Q, D], scaled; biases: [N, heads, Q - 1, R], of all but the class token; key, value:
    [N, heads, K, D]; places: [K - 1, R]. Returns [N, heads, Q, D]. The class token has no place, as query or as key.
    """
    fill = -(query.shape[-1] + biases.shape[-1]) % 8 if kernel is fused_attention else 0  # its vectors are of eights
    query = torch.cat((query, F.pad(biases, (0, fill, 1, 0)).to(query.dtype)), dim=3)
    places = F.pad(places, (0, fill, 1, 0)).to(key.dtype).expand(*key.shape[:2], -1, -1)
    return kernel(query, torch.cat((key, places), dim=3), value)


def plain_attention(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
    """Softmax of all logits, times values. query: [..., Q, E]; key: [..., K, E]; value: [..., K, D] -> [..., Q, D]."""
    return (query @ key.transpose(-2, -1)).softmax(-1) @ value


def fused_attention(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
    """The same through torch's fused kernels, for D of at most E."""
    width = value.shape[-1]
    value = F.pad(value, (0, query.shape[-1] - width)).to(query.dtype)
    return F.scaled_dot_product_attention(query, key, value, scale=1.0)[..., :width]


KERNELS: dict[str, Kernel] = {"plain": plain_attention, "fused": fused_attention}


def position_biases(query: Tensor, grid: Grid, places: Grid, tables: tuple[Tensor, Tensor, Tensor]) -> Tensor:
    """Products of each query but the class token's with its relative positions to all moments, rows, columns of keys.

    query: [N, heads, 1 + T H W, D]. grid, places: of queries and keys. tables: [r, D] for time, height and width.
    Returns [N, heads, T H W, t + h + w].
    """
    patches = query[:, :, 1:].unflatten(2, grid)
    found = []
    for axis, table in enumerate(tables):
        rows = relative_rows(table, grid[axis], places[axis]).to(query.dtype)  # [own places, places of keys, D]
        along = patches.movedim(2 + axis, 0).flatten(1, -2)  # [own places, N heads others, D]
        products = torch.bmm(along, rows.transpose(1, 2))
        others = [n for i, n in enumerate(patches.shape[:-1]) if i != 2 + axis]
        found.append(products.unflatten(1, others).movedim(0, 2 + axis).flatten(2, 4))
    return torch.cat(found, dim=3)


def relative_rows(table: Tensor, queries: int, keys: int) -> Tensor:
    """Rows of a table of relative positions on one axis for each pair of places: [queries, keys, D].

    table: [r, D], row i for distance i - (r - 1) / 2; it is stretched linearly to 2 max(queries, keys) - 1 rows. Where
    there are fewer keys than queries, or the other way round, their places are spread over the same length.
    """
    table = stretch(table, 2 * max(queries, keys) - 1)
    own = torch.arange(queries, device=table.device)[:, None] * max(keys / queries, 1.0)
    theirs = (torch.arange(keys, device=table.device)[None] + (1.0 - keys)) * max(queries / keys, 1.0)
    return table[(own - theirs).long()]


def stretch(table: Tensor, rows: int) -> Tensor:
    """``resize_table`` as a product of matrices, whose gradient is deterministic on GPUs. [r, D] -> [rows, D]."""
    if len(table) == rows:
        return table
    eye = torch.eye(len(table), device=table.device, dtype=table.dtype)
    weights = F.interpolate(eye.unsqueeze(0), size=rows, mode="linear").squeeze(0)
    return weights.T @ table


def one_hot_places(places: Grid, like: Tensor) -> Tensor:
    """For each place a 1 at its moment, its row and its column: [t h w, t + h + w], as ``like`` in dtype and device."""
    eyes = [torch.eye(n, device=like.device, dtype=like.dtype) for n in places]
    at = torch.cartesian_prod(*(torch.arange(n, device=like.device) for n in places))
    return torch.cat([eye[index] for eye, index in zip(eyes, at.T)], dim=1)


def depthwise(maps: Tensor, weight: Tensor, stride: Grid, padding: Grid) -> Tensor:
    """A depthwise convolution of volumes whose channels come last. maps: [N, T, H, W, D]; weight: [D, 1, t, h, w]."""
    if maps.device.type != "cpu" or stride[0] != 1 or weight.shape[2] != 2 * padding[0] + 1:
        return _volumes(maps, weight, stride, padding)
    # In fp32 even under autocast: torch's bf16 gradient of depthwise volumes reads memory that nobody has written.
    with torch.autocast("cpu", enabled=False):
        return _Depthwise.apply(maps.to(weight.dtype), weight, stride, padding)


def _volumes(maps: Tensor, weight: Tensor, stride: Grid, padding: Grid) -> Tensor:
    channels_first = maps.permute(0, 4, 1, 2, 3)
    return F.conv3d(channels_first, weight, None, stride, padding, groups=len(weight)).permute(0, 2, 3, 4, 1)


class _Depthwise(torch.autograd.Function):
    """On a CPU: forward as a volume, backward as pictures, moment by moment of the kernel."""

    @staticmethod
    def forward(ctx: Any, maps: Tensor, weight: Tensor, stride: Grid, padding: Grid) -> Tensor:
        ctx.save_for_backward(maps, weight)
        ctx.stride, ctx.padding = stride, padding
        return _volumes(maps, weight, stride, padding)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor, None, None]:
        maps, weight = ctx.saved_tensors
        frames = maps.shape[1]
        to_maps, to_weight = torch.zeros_like(maps), torch.zeros_like(weight)
        for moment in range(weight.shape[2]):
            shift = moment - ctx.padding[0]  # the frame that this moment reads, counted from the one it writes
            begin, end = max(0, -shift), min(frames, frames - shift)
            if begin >= end:
                continue
            read, written = maps[:, begin + shift : end + shift], gradient[:, begin:end]
            pictures, theirs = (part.flatten(0, 1).permute(0, 3, 1, 2) for part in (read, written))
            of_pictures, of_kernel, _ = torch.ops.aten.convolution_backward(
                theirs,
                pictures,
                weight[:, :, moment],
                None,
                ctx.stride[1:],
                ctx.padding[1:],
                (1, 1),
                False,
                (0, 0),
                len(weight),
                (True, True, False),
            )
            to_weight[:, :, moment] = of_kernel
            to_maps[:, begin + shift : end + shift] += of_pictures.permute(0, 2, 3, 1).unflatten(0, read.shape[:2])
        return to_maps, to_weight, None, None
