"""On a CPU: three-dimensional convolutions and pools that span space alone or time alone, computed in two dimensions.

Separable networks (S3D, R(2+1)D) consist of them. With channels last in memory, clips are without any copying a batch
of frames [N * T, H, W], or of pictures [N, T, H * W] whose rows are moments; and torch's kernels for pictures are up to
twice as fast as those for volumes. Modules keep their weights and names; results differ by rounding only.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn import functional as F

Triple = tuple[int, int, int]


def flatten_kernels(module: nn.Module) -> None:
    """Let the convolutions and max pools in ``module`` that can be flat compute so from now on."""
    for part in module.modules():
        if type(part) is nn.Conv3d and _flat(part):
            part.__class__ = FlatConvolution
        elif type(part) is nn.MaxPool3d and not part.return_indices and _triple(part.dilation) == (1, 1, 1):
            part.__class__ = SeparatePool


class FlatConvolution(nn.Conv3d):
    """A convolution with kernel (1, h, w), or (k, 1, 1) and no stride. [N, C, T, H, W] -> [N, C', T', H', W']."""

    def forward(self, clips: Tensor) -> Tensor:
        n, t, h, w = clips.shape[0], *clips.shape[2:]
        rows = clips.permute(0, 2, 3, 4, 1)
        if self.kernel_size[0] == 1:
            frames = rows.reshape(n * t, h, w, -1).permute(0, 3, 1, 2)
            out = F.conv2d(frames, self.weight.squeeze(2), self.bias, self.stride[1:], self.padding[1:])
            return out.permute(0, 2, 3, 1).unflatten(0, (n, t)).permute(0, 4, 1, 2, 3)
        moments = rows.reshape(n, t, h * w, -1)
        # Under autocast the pieces of a backward pass of one's own would differ in their number formats.
        over_time = _plain_over_time if torch.is_autocast_enabled(clips.device.type) else OverTime.apply
        out = over_time(moments, self.weight.flatten(2), self.padding[0])
        out = out.unflatten(2, (h, w)).permute(0, 4, 1, 2, 3)
        return out if self.bias is None else out + self.bias.to(out.dtype).view(-1, 1, 1, 1)


class OverTime(torch.autograd.Function):
    """A convolution over the second dimension: rows [N, T, S, C], weight [O, C, k], padding -> [N, T', S, O].

    The gradient of the weight is one matrix product for each tap: oneDNN's kernel for it takes up to three times as
    long, for its rows, which have S * C numbers, leave the cache.
    """

    @staticmethod
    def forward(ctx: Any, rows: Tensor, weight: Tensor, padding: int) -> Tensor:
        ctx.save_for_backward(rows, weight)
        ctx.padding = padding
        return _plain_over_time(rows, weight, padding)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, Tensor | None, None]:
        rows, weight = ctx.saved_tensors
        taps, padding = weight.shape[2], ctx.padding
        to_rows = to_weight = None
        if ctx.needs_input_grad[0]:
            turned = weight.transpose(0, 1).flip(2)
            to_rows = _plain_over_time(gradient, turned, taps - 1 - padding)
        if ctx.needs_input_grad[1]:
            per_tap = [_tap_gradient(rows, gradient, tap - padding) for tap in range(taps)]
            to_weight = torch.stack(per_tap, dim=2)
        return to_rows, to_weight, None


class SeparatePool(nn.MaxPool3d):
    """A max pool in two steps, space and then time. Of equal maxima the first gets the gradient, as in one step."""

    def forward(self, clips: Tensor) -> Tensor:
        kernel, padding = _triple(self.kernel_size), _triple(self.padding)
        stride = kernel if self.stride is None else _triple(self.stride)
        n, t, h, w = clips.shape[0], *clips.shape[2:]
        rows = clips.permute(0, 2, 3, 4, 1)
        if kernel[1:] != (1, 1) or stride[1:] != (1, 1):
            frames = rows.reshape(n * t, h, w, -1).permute(0, 3, 1, 2)
            frames = F.max_pool2d(frames, kernel[1:], stride[1:], padding[1:], ceil_mode=self.ceil_mode)
            rows = frames.permute(0, 2, 3, 1).unflatten(0, (n, t))
        if kernel[0] != 1 or stride[0] != 1:
            h, w = rows.shape[2:4]
            moments = rows.reshape(n, t, h * w, -1).permute(0, 3, 1, 2)
            over_time = (kernel[0], 1), (stride[0], 1), (padding[0], 0)
            moments = F.max_pool2d(moments, *over_time, ceil_mode=self.ceil_mode)
            rows = moments.permute(0, 2, 3, 1).unflatten(2, (h, w))
        return rows.permute(0, 4, 1, 2, 3)


def _flat(convolution: nn.Conv3d) -> bool:
    """Whether it spans space alone, or time alone: the latter without stride, which 3D kernels do better."""
    if convolution.groups != 1 or convolution.dilation != (1, 1, 1) or convolution.padding_mode != "zeros":
        return False
    if isinstance(convolution.padding, str):
        return False
    kernel, stride, padding = convolution.kernel_size, convolution.stride, convolution.padding
    if kernel[0] == 1:
        return stride[0] == 1 and padding[0] == 0
    return kernel[1:] == (1, 1) and stride == (1, 1, 1) and padding[1:] == (0, 0) and padding[0] < kernel[0]


def _plain_over_time(rows: Tensor, weight: Tensor, padding: int) -> Tensor:
    """rows [N, T, S, C], weight [O, C, k] -> [N, T', S, O]."""
    out = F.conv2d(rows.permute(0, 3, 1, 2), weight.unsqueeze(3), padding=(padding, 0))
    return out.permute(0, 2, 3, 1)


def _tap_gradient(rows: Tensor, gradient: Tensor, shift: int) -> Tensor:
    """Sum over all places of gradient [N, T', S, O] times what stood ``shift`` later in rows [N, T, S, C]: [O, C]."""
    begin = max(0, -shift)
    end = max(begin, min(gradient.shape[1], rows.shape[1] - shift))
    ours = rows[:, begin + shift : end + shift].flatten(1, 2)
    theirs = gradient[:, begin:end].flatten(1, 2)
    return torch.bmm(theirs.transpose(1, 2), ours).sum(0)


def _triple(value: int | Triple) -> Triple:
    return (value,) * 3 if isinstance(value, int) else tuple(value)
