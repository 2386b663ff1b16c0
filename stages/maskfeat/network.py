"""What MaskFeat trains: an encoder of tokens, and a linear head on those that are hidden."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor, nn

from engine.run.context import Context
from stages.maskfeat.spec import Config, pretraining
from stages.nn.encoders import TokenEncoder, build_encoder
from stages.nn.mvit import set_drop_path, transfer
from stages.nn.spec import untrained
from stages.nn.start import new_encoder
from stages.nn.weights import load_encoder


class Predictor(nn.Module):
    """Norm and linear layer on an encoder (head_helper.py). seed: of the linear layer; width: of a target."""

    def __init__(self, encoder: TokenEncoder, width: int, seed: int) -> None:
        super().__init__()
        self.encoder = encoder
        self.norm = nn.LayerNorm(encoder.features, eps=1e-6)
        self.linear = nn.Linear(encoder.features, width)
        with torch.no_grad():
            nn.init.trunc_normal_(self.linear.weight, std=0.02, generator=torch.Generator().manual_seed(seed))
            self.linear.bias.zero_()

    def forward(self, clips: Tensor, mask: Tensor, hidden: Tensor) -> Tensor:
        """Predictions for some tokens: [M, width].

        clips: [N, 3, T, H, W]; mask: bool [N, t, y, x], what the encoder does not see; hidden: int64 [M], places of the
        tokens among all of the batch, N first, then time, height and width.
        """
        tokens = self.encoder.tokens(clips, mask)
        return self.linear(self.norm(tokens.flatten(0, 3)[hidden]))

    def head(self) -> nn.ModuleDict:
        """What is no part of the encoder's body: kept for a later training."""
        token = nn.ParameterDict({"mask": self.encoder.mask_token})
        return nn.ModuleDict({"norm": self.norm, "linear": self.linear, "token": token})


def starting_encoder(config: Config, context: Context) -> TokenEncoder:
    """The encoder in its form for this training: new, or with the weights of the input ``init``; no block is skipped."""
    spec = pretraining(config.encoder)
    if "init" in context.inputs:
        encoder = build_encoder(untrained(spec), config.view.channels, context.seed_for("init", "encoder"))
        transfer(load_encoder(context.input("init"))[0].body, encoder.body)
    else:
        encoder = new_encoder(spec, config.view.channels, context)
    set_drop_path(encoder.body, 0.0)
    return encoder


def handed_on(encoder: TokenEncoder, config: Config) -> TokenEncoder:
    """The trained encoder with its last stride, tables of positions resized: what is finetuned."""
    whole = build_encoder(untrained(config.encoder), config.view.channels, seed=0)
    transfer(encoder.body.to("cpu"), whole.body)
    return whole


def teacher_of(context: Context) -> TokenEncoder | None:
    """The frozen encoder in the input ``teacher``; None without one."""
    if "teacher" not in context.inputs:
        return None
    folder = context.input("teacher")
    assert isinstance(folder, Path)
    return load_encoder(folder)[0].requires_grad_(False)
