"""G-TAD's head: from the features of a video's snippets to curves of starts and ends and a map of all proposals.

G-TAD: Sub-Graph Localization for Temporal Action Detection (Xu et al., CVPR 2020), section 3, with the sizes of the
public code for ActivityNet. Nothing depends on L: one head takes videos of any number of snippets, in batches of any
size.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn

from engine.errors import UserError
from stages.tal.align import AlignedConv
from stages.tal.graph import GCNeXt
from stages.tal.head_spec import Head
from stages.tal.label_maps import valid_cells

STEM_GROUPS = 4


class HeadOutput(NamedTuple):
    """Probabilities, float32. start, end: [B, L]; confidence: [B, 2, L, L], indexed [duration d, start s].

    Invalid cells have 0. Channel 0 of ``confidence`` is the regressed IoU of a proposal, channel 1 the probability
    that it is a good one.
    """

    start: Tensor
    end: Tensor
    confidence: Tensor


class Gtad(nn.Module):
    """Features [B, C, L] -> HeadOutput. It has no normalisation layers and needs no anchors.

    Raises UserError when the width C of the features is not a multiple of 4.
    """

    def __init__(self, features: int, head: Head = Head()) -> None:
        super().__init__()
        if features % STEM_GROUPS:
            raise UserError(
                f"G-TAD's first convolution has {STEM_GROUPS} groups, and features of width {features} do not part "
                f"into them: use an encoder whose width is a multiple of {STEM_GROUPS}"
            )
        channels, narrow = head.channels, head.channels // 2
        self.stem = nn.Sequential(
            nn.Conv1d(features, channels, 3, padding=1, groups=STEM_GROUPS), nn.ReLU(inplace=True)
        )
        self.base = GCNeXt(channels, head.neighbours)
        self.start = nn.Sequential(GCNeXt(channels, head.neighbours), nn.Conv1d(channels, 1, 1))
        self.end = nn.Sequential(GCNeXt(channels, head.neighbours), nn.Conv1d(channels, 1, 1))
        self.graph = GCNeXt(channels, head.neighbours)
        self.align = AlignedConv(channels, 2 * channels, head.align_bins, head.context_bins, head.neighbours)
        self.proposals = nn.Sequential(
            nn.ReLU(inplace=True),
            nn.Linear(2 * channels, narrow),
            nn.ReLU(inplace=True),
            nn.Linear(narrow, narrow),
            nn.ReLU(inplace=True),
            nn.Linear(narrow, narrow),
            nn.ReLU(inplace=True),
            nn.Linear(narrow, 2),
        )

    def forward(self, features: Tensor) -> HeadOutput:
        base = self.base(self.stem(features))
        scores = self.proposals(self.align(self.graph(base))).float().sigmoid()
        return HeadOutput(
            start=self.start(base).squeeze(1).float().sigmoid(),
            end=self.end(base).squeeze(1).float().sigmoid(),
            confidence=_map_of(scores, features.shape[2]),
        )


def build_gtad(features: int, head: Head, seed: int) -> Gtad:
    """A new head on the CPU for features of this width. seed: of its weights; the global generator stays as it is."""
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        return Gtad(features, head)


def _map_of(scores: Tensor, snippets: int) -> Tensor:
    """Scores of valid cells [B, cells, D] -> [B, D, L, L], 0 elsewhere."""
    duration, start = valid_cells(snippets)
    places = torch.from_numpy(duration * snippets + start).to(scores.device)
    flat = scores.new_zeros(scores.shape[0], scores.shape[2], snippets * snippets)
    return flat.index_copy(2, places, scores.transpose(1, 2)).unflatten(2, (snippets, snippets))
