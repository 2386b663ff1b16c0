"""The names that CoCLR's public code gives to the weights of S3D, and to all else in its checkpoints.

torchvision's ``s3d`` is the same network layer by layer (widths, strides, pools), under other names. The public module
registers each layer twice, by itself (``Mixed_3b``) and in a block (``block3.1``), so its files hold all weights twice.
"""

from __future__ import annotations

_LAYERS = {
    "0": "Conv_1a",
    "2": "Conv_2b",
    "3": "Conv_2c",
    "5": "Mixed_3b",
    "6": "Mixed_3c",
    "8": "Mixed_4b",
    "9": "Mixed_4c",
    "10": "Mixed_4d",
    "11": "Mixed_4e",
    "12": "Mixed_4f",
    "14": "Mixed_5b",
    "15": "Mixed_5c",
}
"""Place in torchvision's ``features`` -> public name; pools lie between."""

_BLOCKS = {
    "Conv_1a": "block1.0",
    "Conv_2b": "block2.1",
    "Conv_2c": "block2.2",
    "Mixed_3b": "block3.1",
    "Mixed_3c": "block3.2",
    "Mixed_4b": "block4.1",
    "Mixed_4c": "block4.2",
    "Mixed_4d": "block4.3",
    "Mixed_4e": "block4.4",
    "Mixed_4f": "block4.5",
    "Mixed_5b": "block5.1",
    "Mixed_5c": "block5.2",
}

_PARTS = {
    ("0",): "conv",
    ("1",): "bn",
    ("0", "0"): "conv1",
    ("0", "1"): "bn1",
    ("1", "0"): "conv2",
    ("1", "1"): "bn2",
}
"""Place in a convolution with its BatchNorm, or in a separable pair of them -> public name."""

_ASIDE = {
    "encoder_k": "key encoder",
    "sampler": "mining encoder",
    "queue": "queue",
    "queue_ptr": "queue",
    "queue_second": "queue",
    "queue_label": "queue",
    "queue_vname": "queue",
    "final_bn": "classifier",
    "final_fc": "classifier",
    "optimizer": "optimiser",
}

HEAD = {"2.weight": "0.weight", "2.bias": "0.bias", "4.weight": "2.weight", "4.bias": "2.bias"}
"""Weights of the projection head beside the encoder (which is called ``0``) -> those of ``Projection``.

Theirs are 1x1x1 convolutions [out, in, 1, 1, 1], ours linear layers [out, in].
"""


def public_name(name: str) -> str:
    """Public name of a weight of torchvision's ``s3d``: ``features.0.0.1.bias`` is ``Conv_1a.bn1.bias``.

    Raises KeyError for a name that is none of its features'.
    """
    _, number, *place, last = name.split(".")
    layer = _LAYERS[number]
    words = [layer]
    if layer.startswith("Mixed"):
        branch, *place = place
        # The first branch is one convolution: in the public code it stands in a sequence of its own.
        unit, *place = ["0", *place] if branch == "branch0" else place
        words += [branch, unit]
    return ".".join([*words, _PARTS[tuple(place)], last])


def block_name(public: str) -> str:
    """The second name of a weight, by its block: ``Conv_1a.bn1.bias`` is ``block1.0.bn1.bias`` too."""
    layer, rest = public.split(".", 1)
    return f"{_BLOCKS[layer]}.{rest}"


def set_aside(key: str) -> str | None:
    """What else a weight of a checkpoint belongs to, if not to the query encoder, its head or a bare backbone."""
    return next((_ASIDE[part] for part in key.split(".") if part in _ASIDE), None)
