"""Blocks of multiscale vision transformers: how wide they are, and how far each pools its queries, keys and values.

Fan et al., "Multiscale Vision Transformers" (ICCV 2021) and Li et al., "MViTv2" (CVPR 2022), of which MaskFeat takes
a form of its own. All are told by one rule: blocks stand in stages; the first block of each later stage halves the
sides of the map and doubles the heads; the width doubles with it, in its attention or already in the MLP of the block
before; keys and values are pooled to the last stage's map everywhere, that is, their stride is divided by each stride
of the queries.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from torchvision.models.video.mvit import MSBlockConfig

from stages.nn.spec import Mvit, SmallMvit

_KERNEL = [3, 3, 3]
"""Of every pooling convolution."""


@dataclass(frozen=True)
class Layout:
    """An MViT without its classifier.

    width: channels of the patch embedding. heads: of the first stage. stages: blocks of each stage. grow: where the
    width doubles. last_stride: whether the last stage halves the map too (MaskFeat's pre-training leaves that out, so
    that a token stays 16 pixels wide). patch: stride in time and space of the patch embedding, whose kernel is twice
    that less one. frames, size: clips that the tables of relative positions are made for.
    """

    width: int
    heads: int
    stages: tuple[int, ...]
    grow: Literal["attention", "mlp"]
    last_stride: bool = True
    patch: tuple[int, int] = (2, 4)
    frames: int = 16
    size: int = 224

    @property
    def features(self) -> int:
        """Channels of the last block."""
        return self.width * 2 ** (len(self.stages) - 1)

    def blocks(self) -> list[MSBlockConfig]:
        """One setting a block, as torchvision builds them from."""
        last = len(self.stages) - 1
        key_stride, found = 2**last, []
        for stage, count in enumerate(self.stages):
            halves = stage > 0 and (stage < last or self.last_stride)
            key_stride = max(key_stride // 2, 1) if halves else key_stride
            width = self.width * 2**stage
            for place in range(count):
                first, end = place == 0 and stage > 0, place == count - 1 and stage < last
                query = 2 if first and halves else 1
                block = MSBlockConfig(
                    num_heads=self.heads * 2**stage,
                    input_channels=width // 2 if first and self.grow == "attention" else width,
                    output_channels=2 * width if end and self.grow == "mlp" else width,
                    kernel_q=_KERNEL,
                    kernel_kv=_KERNEL,
                    stride_q=[1, query, query],
                    stride_kv=[1, key_stride, key_stride],
                )
                found.append(block)
        return found


def mvit_v2_s(last_stride: bool = True) -> Layout:
    """MViTv2-S, 34.5 M parameters: torchvision's ``mvit_v2_s``."""
    return Layout(width=96, heads=1, stages=(1, 2, 11, 2), grow="attention", last_stride=last_stride)


def maskfeat_s(last_stride: bool = True) -> Layout:
    """MaskFeat's MViT-S, 36.5 M parameters."""
    return Layout(width=96, heads=1, stages=(1, 2, 11, 2), grow="mlp", last_stride=last_stride)


def maskfeat_l(last_stride: bool = True) -> Layout:
    """MaskFeat's MViT-L, 218 M parameters."""
    return Layout(width=144, heads=2, stages=(2, 6, 36, 4), grow="mlp", last_stride=last_stride)


def layout_of(spec: Mvit) -> Layout:
    """The layout that a spec names."""
    if isinstance(spec, SmallMvit):
        return Layout(
            width=spec.width,
            heads=1,
            stages=spec.blocks,
            grow="mlp",
            last_stride=spec.last_stride,
            patch=(2, spec.patch),
            frames=spec.table_frames,
            size=spec.table_size,
        )
    layouts = {"mvit_v2_s": mvit_v2_s, "maskfeat_s": maskfeat_s, "maskfeat_l": maskfeat_l}
    return layouts[spec.kind](spec.last_stride)
