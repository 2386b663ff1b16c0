"""Video encoders: clips [N, C, T, H, W] in, one feature vector a clip [N, features] out."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import torch
from torch import Tensor, nn

from stages.nn.foreign import load_foreign, torchvision_file
from stages.nn.spec import Encoder, Narrow


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
        encoder = _narrow(spec, channels) if isinstance(spec, Narrow) else _torchvision(spec.kind, channels)
    if not isinstance(spec, Narrow) and spec.bn_eps is not None:
        for norm in (module for module in encoder.modules() if isinstance(module, nn.BatchNorm3d)):
            norm.eps = spec.bn_eps
    if not isinstance(spec, Narrow) and spec.weights:
        load_foreign(torchvision_file(spec.kind, spec.weights, weights), encoder.body)
    return encoder


def _torchvision(kind: str, channels: int) -> VideoEncoder:
    from torchvision.models import video

    if kind == "s3d":
        # torchvision's running statistics move by a thousandth a step, which suits weights that are already trained:
        # after a short training from scratch they would still be those of the start. 0.1 is torch's own default.
        net = video.s3d(norm_layer=partial(nn.BatchNorm3d, eps=1e-3, momentum=0.1))
        # Its average pool wants 224 pixels; the mean over the whole map is the same there and works at any size.
        net.avgpool, net.classifier = nn.Identity(), nn.Identity()
        features, first = 1024, net.features[0][0]
    elif kind == "mvit_v2_s":
        net = video.mvit_v2_s()
        net.head, features, first = nn.Identity(), 768, net
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
