"""Reading foreign weights into an encoder: what fitted, what was left aside, and nothing silently."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from engine.errors import UserError
from stages.nn import mvit_names
from stages.nn.coclr_names import HEAD, block_name, public_name, set_aside
from stages.nn.encoders import VideoEncoder
from stages.nn.foreign import load_foreign, match_names, read_tensors, require_fit, some
from stages.nn.head import Projection

_ADVICE = "Is it whole, and a checkpoint of S3D from CoCLR's public code? Other files need format: plain."
_SLOWFAST_ADVICE = (
    "Is it a checkpoint of this encoder from SlowFast's public code? MaskFeat's are maskfeat_s and maskfeat_l, "
    "MViTv2-S is mvit_v2_s; weights under torchvision's names or ours need format: plain."
)


@dataclass(frozen=True)
class Reading:
    """How the weights of a file were used; names are the file's, below ``prefix`` where they are of the encoder.

    aside: what else the file is known to hold -> number of its tensors. unexpected: what nobody knows.
    """

    prefix: str
    matched: tuple[str, ...]
    missing: tuple[str, ...]
    aside: Mapping[str, int]
    unexpected: tuple[str, ...]
    head: Projection | None = None


def read_plain(path: Path, encoder: VideoEncoder) -> Reading:
    """Fill ``encoder`` from weights under its own names. Raises UserError when they do not fit (``load_foreign``)."""
    match = load_foreign(path, encoder.body)
    return Reading(match.prefix, match.matched, match.missing, {}, match.unexpected)


def read_coclr(path: Path, encoder: VideoEncoder) -> Reading:
    """Fill ``encoder`` (s3d) from the query encoder, or a classifier's backbone, as CoCLR's public code saves it.

    Raises UserError when the file cannot be read, when weights are missing or of another shape, when there are more
    layers than S3D has (gates), or when the two copies of a weight differ.
    """
    tensors = read_tensors(path)
    kinds = {key: set_aside(key) for key in tensors}
    state = {key: tensor for key, tensor in tensors.items() if kinds[key] is None}
    blank = encoder.body.state_dict()
    ours = {public_name(key): key for key in blank}
    wanted = {public: blank[key] for public, key in ours.items()}
    match = match_names(state, wanted, path)
    require_fit(match, len(wanted), path, advice=_ADVICE)

    twins = {match.prefix + block_name(name): match.prefix + name for name in match.matched}
    differing = [twin for twin, key in twins.items() if twin in state and not torch.equal(state[twin], state[key])]
    if differing:
        raise UserError(f"{path} is inconsistent: its second copy of weights differs from the first: {some(differing)}")
    head_names, head = _head(state, match.prefix, encoder.features)
    unexpected = tuple(key for key in match.unexpected if key not in twins and key not in head_names)
    inside = [key for key in unexpected if key.startswith(match.prefix)]
    if inside:
        raise UserError(
            f"{path}: its network has more layers than S3D, without which it would compute something else: "
            f"{some(inside)}"
        )
    encoder.body.load_state_dict({ours[name]: state[match.prefix + name] for name in match.matched}, strict=False)
    aside = Counter(kind for kind in kinds.values() if kind)
    aside["second copy"] = sum(twin in state for twin in twins)
    aside["head"] = len(head_names)
    return Reading(match.prefix, match.matched, match.missing, {k: n for k, n in aside.items() if n}, unexpected, head)


def read_slowfast(path: Path, encoder: VideoEncoder) -> Reading:
    """Fill ``encoder`` (an MViT) from a ``.pyth`` of SlowFast's public code: pre-trained by MaskFeat, or a classifier.

    Tables of relative positions are stretched to the encoder's where it was trained with another last stride or on
    other clips. Raises UserError when the file cannot be read, when weights are missing or of another shape, or when
    its network has weights that the encoder does not: more blocks, or absolute positions as in MViTv1.
    """
    from stages.nn.mvit import fit_tables

    tensors = read_tensors(path)
    kinds = {key: mvit_names.set_aside(key) for key in tensors}
    aside = Counter(kind for kind in kinds.values() if kind)
    state = mvit_names.join_projections({key: tensor for key, tensor in tensors.items() if kinds[key] is None})
    blank = encoder.body.state_dict()
    ours = {mvit_names.public_name(key): key for key in blank}
    wanted = {public: blank[key] for public, key in ours.items()}
    class_token = next((key for key in state if key.rpartition(".")[2] == "cls_token"), None)
    if class_token:
        state[class_token] = state[class_token].flatten()
        state = fit_tables(state, wanted, prefix=class_token.removesuffix("cls_token"))
    match = match_names(state, wanted, path)
    require_fit(match, len(wanted), path, mvit_names.ABSENT_AFTER_PRETRAINING, _SLOWFAST_ADVICE)
    if match.unexpected:
        raise UserError(
            f"{path}: its network has weights that the encoder has not, without which it would compute something else: "
            f"{some(match.unexpected)}. {_SLOWFAST_ADVICE}"
        )
    encoder.body.load_state_dict({ours[name]: state[match.prefix + name] for name in match.matched}, strict=False)
    return Reading(match.prefix, match.matched, match.missing, dict(aside), match.unexpected)


def _head(state: Mapping[str, Tensor], prefix: str, features: int) -> tuple[set[str], Projection | None]:
    """Names of the head beside the encoder, and the head itself where its layers are as wide as ours."""
    root = prefix.removesuffix("0.")
    found = {ours: root + theirs for theirs, ours in HEAD.items() if root != prefix and root + theirs in state}
    names = set(found.values())
    if len(found) < len(HEAD):
        return names, None
    flat = {ours: state[key].flatten(1) if key.endswith("weight") else state[key] for ours, key in found.items()}
    head = Projection(features, len(flat["2.bias"]), seed=0)
    if {key: tensor.shape for key, tensor in flat.items()} != {key: t.shape for key, t in head.state_dict().items()}:
        return names, None
    head.load_state_dict(flat)
    return names, head
