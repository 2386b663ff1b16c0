"""MViTs as SlowFast's public code stores them: names, shapes and a plain forward pass, written from its description."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

Stages = tuple[int, ...]


def shapes(
    width: int,
    stages: Stages,
    table: tuple[int, int],
    last_stride: bool,
    apart: bool = False,
    heads: int = 1,
    in_attention: bool = False,
) -> dict[str, tuple[int, ...]]:
    """Name -> shape of every weight of MaskFeat's pre-training.

    table: frames and sides of the map after the patch embedding that tables are made for. apart: queries, keys and
    values. heads: of the first stage. in_attention: the width doubles in the attention of a stage's first block, as in
    MViTv2, instead of the MLP of the block before it (DIM_MUL_IN_ATT).
    """
    each = width // heads  # channels of a head, the same in all stages
    found = {"patch_embed.proj.weight": (width, 3, 3, 7, 7), "patch_embed.proj.bias": (width,)}
    found |= {"cls_token": (1, 1, width), "mask_token": (1, 1, width)}
    number, side, key_stride = 0, table[1], 2 ** (len(stages) - 1)
    for stage, count in enumerate(stages):
        inside = width * 2**stage
        for place in range(count):
            halves = place == 0 and stage > 0 and (stage < len(stages) - 1 or last_stride)
            key_stride = key_stride // 2 if halves else key_stride
            longest = max(side // 2 if halves else side, side // key_stride)
            doubles = place == count - 1 and stage < len(stages) - 1 and not in_attention
            outside = 2 * inside if doubles else inside
            given = inside // 2 if in_attention and place == 0 and stage > 0 else inside  # channels of the block's input
            name = f"blocks.{number}."
            for norm, size in (("norm1", given), ("norm2", inside)):
                found |= {f"{name}{norm}.{part}": (size,) for part in ("weight", "bias")}
            linear = {"attn.proj": (inside, inside), "mlp.fc1": (4 * inside, inside), "mlp.fc2": (outside, 4 * inside)}
            linear |= {f"attn.{p}": (inside, given) for p in "qkv"} if apart else {"attn.qkv": (3 * inside, given)}
            linear |= {"proj": (outside, given)} if outside != given else {}
            for layer, shape in linear.items():
                found |= {f"{name}{layer}.weight": shape, f"{name}{layer}.bias": shape[:1]}
            for p in "qkv":
                found |= {f"{name}attn.pool_{p}.weight": (each, 1, 3, 3, 3)}
                found |= {f"{name}attn.norm_{p}.{part}": (each,) for part in ("weight", "bias")}
            found |= {f"{name}attn.rel_pos_{axis}": (2 * longest - 1, each) for axis in "hw"}
            found |= {f"{name}attn.rel_pos_t": (2 * table[0] - 1, each)}
            number, side = number + 1, side // 2 if halves else side
    last = width * 2 ** (len(stages) - 1)
    found |= {"pred_head.transforms.0.0.weight": (last,), "pred_head.transforms.0.0.bias": (last,)}
    return found | {"pred_head.projections.0.weight": (108, last), "pred_head.projections.0.bias": (108,)}


def weights(wanted: dict[str, tuple[int, ...]], seed: int) -> dict[str, Tensor]:
    """Random ones, of a size that lets every weight count."""
    generator = torch.Generator().manual_seed(seed)
    return {name: 0.3 * torch.randn(shape, generator=generator) for name, shape in wanted.items()}


def forward(w: dict[str, Tensor], clips: Tensor, stages: Stages, last_stride: bool) -> Tensor:
    """Tokens [N, 1 + T' h w, D] of the last block, class token first. Heads are 1, 2, 4, ... by stage."""
    maps = F.conv3d(clips, w["patch_embed.proj.weight"], w["patch_embed.proj.bias"], (2, 4, 4), (1, 3, 3))
    grid = tuple(maps.shape[2:])
    x = torch.cat((w["cls_token"].expand(len(clips), -1, -1), maps.flatten(2).transpose(1, 2)), 1)
    number, key_stride = 0, 2 ** (len(stages) - 1)
    for stage, count in enumerate(stages):
        for place in range(count):
            halves = place == 0 and stage > 0 and (stage < len(stages) - 1 or last_stride)
            key_stride = key_stride // 2 if halves else key_stride
            stem = f"blocks.{number}."
            block = {name.removeprefix(stem): tensor for name, tensor in w.items() if name.startswith(stem)}
            x, grid = _block(block, x, grid, 2**stage, 2 if halves else 1, key_stride)
            number += 1
    return x


def _block(w: dict[str, Tensor], x: Tensor, grid: tuple[int, ...], heads: int, stride: int, key_stride: int):
    normed = _norm(w, "norm1", x)
    q, k, v = (_linear(w, f"attn.{p}", normed).unflatten(2, (heads, -1)).transpose(1, 2) for p in "qkv")
    q, new_grid = _pool(w, "q", q, grid, stride)
    k, key_grid = _pool(w, "k", k, grid, key_stride)
    v, _ = _pool(w, "v", v, grid, key_stride)
    logits = q @ k.transpose(2, 3) / q.shape[-1] ** 0.5
    for i, own in enumerate(_places(new_grid), start=1):
        for j, theirs in enumerate(_places(key_grid), start=1):
            for axis, table in enumerate(("rel_pos_t", "rel_pos_h", "rel_pos_w")):
                row = _row(w[f"attn.{table}"], own[axis], theirs[axis], new_grid[axis], key_grid[axis])
                logits[:, :, i, j] += q[:, :, i] @ row
    mixed = logits.softmax(3) @ v
    mixed[:, :, 1:] += q[:, :, 1:]
    skip = x
    if stride > 1:
        patches = x[:, 1:].transpose(1, 2).unflatten(2, grid)
        pooled = F.max_pool3d(patches, (1, 3, 3), (1, 2, 2), (0, 1, 1))
        skip = torch.cat((x[:, :1], pooled.flatten(2).transpose(1, 2)), 1)
    x = skip + _linear(w, "attn.proj", mixed.transpose(1, 2).flatten(2))
    normed = _norm(w, "norm2", x)
    rest = _linear(w, "proj", normed) if "proj.weight" in w else x
    return rest + _linear(w, "mlp.fc2", F.gelu(_linear(w, "mlp.fc1", normed))), new_grid


def _row(table: Tensor, own: int, theirs: int, queries: int, keys: int) -> Tensor:
    length = 2 * max(queries, keys) - 1
    if len(table) != length:
        table = F.interpolate(table.T[None], size=length, mode="linear")[0].T
    distance = own * max(keys / queries, 1) - theirs * max(queries / keys, 1) + (keys - 1) * max(queries / keys, 1)
    return table[int(distance)]


def _places(grid: tuple[int, ...]) -> list[tuple[int, ...]]:
    return [(t, y, x) for t in range(grid[0]) for y in range(grid[1]) for x in range(grid[2])]


def _pool(w: dict[str, Tensor], which: str, x: Tensor, grid: tuple[int, ...], stride: int):
    kernel = w[f"attn.pool_{which}.weight"]
    patches = x[:, :, 1:].flatten(0, 1).transpose(1, 2).unflatten(2, grid)
    maps = F.conv3d(patches, kernel, None, (1, stride, stride), 1, groups=len(kernel))
    pooled = maps.flatten(2).transpose(1, 2).unflatten(0, x.shape[:2])
    return _norm(w, f"attn.norm_{which}", torch.cat((x[:, :, :1], pooled), 2)), tuple(maps.shape[2:])


def _norm(w: dict[str, Tensor], name: str, x: Tensor) -> Tensor:
    return F.layer_norm(x, x.shape[-1:], w[f"{name}.weight"], w[f"{name}.bias"], 1e-6)


def _linear(w: dict[str, Tensor], name: str, x: Tensor) -> Tensor:
    return F.linear(x, w[f"{name}.weight"], w[f"{name}.bias"])
