"""TSM: ResNets of pictures whose residual blocks look one frame ahead and one back, at no parameter and no product.

Lin, Gan, Han: "TSM: Temporal Shift Module for Efficient Video Understanding" (ICCV 2019), section 3.3: of the channels
that enter the residual branch of a block, an eighth comes from the next frame, an eighth from the previous one, and the
rest stays.
The weights are torchvision's ResNets' under torchvision's names.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torchvision.models import resnet

SHIFTED_PART = 8
"""One channel of so many is taken from the next frame, and as many from the previous one."""


class _Shift(torch.autograd.Function):
    """The shift and its adjoint. Autograd's own, of the slices, would copy every map's gradient several times."""

    @staticmethod
    def forward(ctx: Any, maps: Tensor, frames: int) -> Tensor:
        ctx.frames = frames
        return _moved(maps, frames, ahead=1)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        return _moved(gradient, ctx.frames, ahead=-1), None


def _moved(maps: Tensor, frames: int, ahead: int) -> Tensor:
    """ahead 1: the first part comes from the frame after, the second from the one before; -1: the other way round."""
    part = maps.shape[1] // SHIFTED_PART
    source = maps.unflatten(0, (maps.shape[0] // frames, frames))
    moved = torch.empty_like(source)
    after, before = (slice(0, part), slice(part, 2 * part))[::ahead]
    moved[:, :-1, after] = source[:, 1:, after]
    moved[:, -1:, after] = 0
    moved[:, 1:, before] = source[:, :-1, before]
    moved[:, :1, before] = 0
    moved[:, :, 2 * part :] = source[:, :, 2 * part :]
    return moved.flatten(0, 1)


def temporal_shift(maps: Tensor, frames: int) -> Tensor:
    """Shift channels between the frames of each clip, and never between clips.

    maps: [N * frames, D, H, W], the frames of a clip one after another. Returns the same shape: the first eighth of the
    D channels of frame t comes from frame t + 1, the next eighth from t - 1; zeros where the clip has no such frame.
    """
    return _Shift.apply(maps, frames)


class ShiftedBasicBlock(resnet.BasicBlock):
    """Two 3x3 convolutions, with the shift before the first."""

    def forward(self, maps: Tensor, frames: int) -> Tensor:
        """maps: [N * frames, D, H, W]."""
        branch = self.relu(self.bn1(self.conv1(temporal_shift(maps, frames))))
        return _joined(self, self.bn2(self.conv2(branch)), maps)


class ShiftedBottleneck(resnet.Bottleneck):
    """A 1x1, a 3x3 and a 1x1 convolution, with the shift before the first."""

    def forward(self, maps: Tensor, frames: int) -> Tensor:
        """maps: [N * frames, D, H, W]."""
        branch = self.relu(self.bn1(self.conv1(temporal_shift(maps, frames))))
        branch = self.relu(self.bn2(self.conv2(branch)))
        return _joined(self, self.bn3(self.conv3(branch)), maps)


def _joined(block: resnet.BasicBlock | resnet.Bottleneck, branch: Tensor, maps: Tensor) -> Tensor:
    branch += maps if block.downsample is None else block.downsample(maps)
    return block.relu(branch)


class TsmResNet(resnet.ResNet):
    """A ResNet without its classifier over the frames of clips; a clip's vector is the mean over its frames.

    The fold is the number of frames of the clips that it is given, so nothing passes from one clip to another.
    """

    def __init__(
        self, block: type[ShiftedBasicBlock | ShiftedBottleneck], layers: list[int], channels: int
    ) -> None:
        super().__init__(block, layers)
        self.features = self.fc.in_features
        self.avgpool, self.fc = nn.Identity(), nn.Identity()
        if channels != 3:
            self.conv1 = nn.Conv2d(channels, 64, kernel_size=7, stride=2, padding=3, bias=False)
            nn.init.kaiming_normal_(self.conv1.weight, mode="fan_out", nonlinearity="relu")

    def forward(self, clips: Tensor) -> Tensor:
        """clips: [N, C, T, H, W]. Returns [N, features]."""
        count, _, frames = clips.shape[:3]
        maps = clips.transpose(1, 2).flatten(0, 1)
        maps = self.maxpool(self.relu(self.bn1(self.conv1(maps))))
        for stage in (self.layer1, self.layer2, self.layer3, self.layer4):
            for block in stage:
                maps = block(maps, frames)
        maps = self.avgpool(maps.unflatten(0, (count, frames)).transpose(1, 2))  # where the map of a clip can be read
        return maps.mean((2, 3, 4))


def tsm_resnet(depth: int, channels: int) -> TsmResNet:
    """A new network of 18, 34 or 50 layers; with other than 3 channels its first convolution is not torchvision's."""
    block = ShiftedBottleneck if depth == 50 else ShiftedBasicBlock
    return TsmResNet(block, {18: [2, 2, 2, 2], 34: [3, 4, 6, 3], 50: [3, 4, 6, 3]}[depth], channels)
