"""Video encoders: clips [N, C, T, H, W] in, one feature vector a clip [N, features] out."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from stages.nn.foreign import load_foreign, torchvision_file
from stages.nn.spec import Encoder, Mvit, MvitV2, Narrow, SmallMvit, Torchvision, TsmResnet

if TYPE_CHECKING:
    from stages.nn.mvit import MViT


class VideoEncoder(nn.Module):
    """A network without its classifier.

    ``body`` does the work and owns all weights, under torchvision's names where it is torchvision's, so that a saved
    encoder opens in either. ``features`` is the width of the output.
    """

    def __init__(self, body: nn.Module, features: int) -> None:
        super().__init__()
        self.body = body
        self.features = features

    def forward(self, clips: Tensor) -> Tensor:
        """clips: [N, C, T, H, W], normalised. Returns [N, features]."""
        return self.body(clips)


class TokenEncoder(VideoEncoder):
    """A transformer, which tells of each place in a clip too, and of places that it is not shown.

    ``mask_token`` [1, 1, D] stands for those. It is no part of ``body``: only masked pre-training has use for it.
    """

    body: MViT

    def __init__(self, body: MViT) -> None:
        super().__init__(body, body.features)
        self.mask_token = nn.Parameter(torch.empty(1, 1, body.conv_proj.out_channels))
        nn.init.trunc_normal_(self.mask_token, std=0.02)

    def tokens(self, clips: Tensor, mask: Tensor | None = None) -> Tensor:
        """clips: [N, C, T, H, W]; mask: bool [N, t, y, x], True where hidden. Returns [N, T', h, w, features].

        The grids are those of ``MViT.tokens``.
        """
        return self.body.tokens(clips, mask, self.mask_token)


class GlobalAverage(nn.Module):
    """[N, D, T, H, W] -> [N, D]. Unlike torch's adaptive pool it has a deterministic gradient on CUDA."""

    def forward(self, maps: Tensor) -> Tensor:
        return maps.mean((2, 3, 4))


def build_encoder(spec: Encoder, channels: int, seed: int, weights: Path | None = None) -> VideoEncoder:
    """A new encoder on the CPU, in training mode.

    channels: of the clips; the first convolution is exchanged when a torchvision network gets other than 3.
    seed: of the initial weights; the global generator is left as it was.
    weights: folder that is searched for pretrained weights first, when ``spec`` asks for some.
    Raises UserError when those are not on this machine (nothing is downloaded) or do not fit.
    """
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        if isinstance(spec, Narrow):
            encoder = _narrow(spec, channels)
        elif isinstance(spec, TsmResnet):
            encoder = _tsm(spec.depth, channels)
        elif isinstance(spec, Mvit):
            encoder = _mvit(spec, channels)
        else:
            encoder = _torchvision(spec.kind, channels)
    if isinstance(spec, Torchvision) and spec.bn_eps is not None:
        for norm in (module for module in encoder.modules() if isinstance(module, nn.BatchNorm3d)):
            norm.eps = spec.bn_eps
    if isinstance(spec, Torchvision) and spec.weights:
        load_foreign(torchvision_file(spec.kind, spec.weights, weights), encoder.body)
    if isinstance(spec, TsmResnet) and spec.weights:
        load_foreign(torchvision_file(f"resnet{spec.depth}", spec.weights, weights), encoder.body)
    if isinstance(spec, MvitV2) and spec.weights:
        _load_mvit(torchvision_file(spec.kind, spec.weights, weights), encoder)
    return encoder


def _tsm(depth: int, channels: int) -> VideoEncoder:
    from stages.nn.tsm import tsm_resnet

    body = tsm_resnet(depth, channels)
    return VideoEncoder(body, body.features)


def _mvit(spec: Mvit, channels: int) -> TokenEncoder:
    from stages.nn.mvit import MViT
    from stages.nn.mvit_kernels import use_fast_kernels
    from stages.nn.mvit_layouts import layout_of

    # Stochastic depth as torchvision has it; MaskFeat's trainings set their own.
    body = MViT(layout_of(spec), spec.pool, drop_path=0.2 if isinstance(spec, MvitV2) else 0.0)
    if isinstance(spec, SmallMvit):
        _draw_for_width(body)
    use_fast_kernels(body)
    if channels != 3:
        _exchange_first_convolution(body, channels)
    return TokenEncoder(body)


def _draw_for_width(body: MViT) -> None:
    """Linear weights as large for each layer as torchvision's 0.02 is for 768 channels.

    At 0.02 itself the blocks of a narrow network add next to nothing to their input, and nothing is learnt for a
    thousand steps.
    """
    for layer in (module for module in body.blocks.modules() if isinstance(module, nn.Linear)):
        nn.init.trunc_normal_(layer.weight, std=0.02 * (768 / layer.in_features) ** 0.5)


def _load_mvit(path: Path, encoder: VideoEncoder) -> None:
    """Weights that were trained with the last stride, whether ``encoder`` has it or not."""
    from stages.nn.mvit import MViT, transfer
    from stages.nn.mvit_layouts import mvit_v2_s

    with torch.device("meta"):
        trained = MViT(mvit_v2_s())
    load_foreign(path, trained.to_empty(device="cpu"))
    transfer(trained, encoder.body)


def _torchvision(kind: str, channels: int) -> VideoEncoder:
    from torchvision.models import video

    if kind == "s3d":
        # torchvision's running statistics move by a thousandth a step, which suits weights that are already trained:
        # after a short training from scratch they would still be those of the start. 0.1 is torch's own default.
        net = video.s3d(norm_layer=partial(nn.BatchNorm3d, eps=1e-3, momentum=0.1))
        # Its average pool wants 224 pixels; the mean over the whole map is the same there and works at any size.
        net.avgpool, net.classifier = nn.Identity(), nn.Identity()
        features, first = 1024, net.features[0][0]
    else:
        net = {"r3d_18": video.r3d_18, "r2plus1d_18": video.r2plus1d_18}[kind]()
        net.avgpool, net.fc = GlobalAverage(), nn.Identity()
        features, first = 512, net.stem
    if channels != 3:
        _exchange_first_convolution(first, channels)
    return VideoEncoder(net, features)


def _exchange_first_convolution(holder: nn.Module, channels: int) -> None:
    name, old = next((n, m) for n, m in holder.named_children() if isinstance(m, nn.Conv3d))
    new = nn.Conv3d(
        channels,
        old.out_channels,
        kernel_size=old.kernel_size,
        stride=old.stride,
        padding=old.padding,
        bias=old.bias is not None,
    )
    setattr(holder, name, new)


def _narrow(spec: Narrow, channels: int) -> VideoEncoder:
    """Stem that halves the picture, then four blocks of which the last three halve space and time.

    Any number of frames and any size work: every convolution is padded.
    """
    w = spec.width
    body = nn.Sequential(
        _convolution(channels, w, (1, 5, 5), (1, 2, 2)),
        _block(w, w, 1),
        _block(w, 2 * w, 2),
        _block(2 * w, 4 * w, 2),
        _block(4 * w, 8 * w, 2),
        GlobalAverage(),
    )
    return VideoEncoder(body, 8 * w)


def _block(inside: int, outside: int, stride: int) -> nn.Sequential:
    return nn.Sequential(
        _convolution(inside, outside, (1, 3, 3), (1, stride, stride)),
        _convolution(outside, outside, (3, 1, 1), (stride, 1, 1)),
    )


def _convolution(
    inside: int, outside: int, kernel: tuple[int, int, int], stride: tuple[int, int, int]
) -> nn.Sequential:
    padding = tuple(k // 2 for k in kernel)
    convolution = nn.Conv3d(inside, outside, kernel, stride, padding, bias=False)
    nn.init.kaiming_normal_(convolution.weight, mode="fan_out", nonlinearity="relu")
    return nn.Sequential(convolution, nn.BatchNorm3d(outside), nn.ReLU(inplace=True))
