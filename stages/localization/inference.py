"""A trained head on features: proposals of videos, with soft-NMS done."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from stages.tal.gtad import Gtad
from stages.tal.head_spec import Inference
from stages.tal.proposals import Proposals, propose
from stages.tal.soft_nms import soft_nms

BATCH = 8
"""Videos in a forward pass; fixed, since the size of a batch may change the last bit."""


@torch.no_grad()
def find_proposals(
    head: Gtad,
    features: Sequence[NDArray[np.float32]],
    inference: Inference,
    parity: bool,
    device: torch.device,
) -> list[Proposals]:
    """Proposals of each video, the best first. features: [L, D] of each, of one L; head: in eval mode on ``device``."""
    shown = torch.from_numpy(np.stack(features)).transpose(1, 2).contiguous()
    start, end, confidence = (part.cpu().numpy() for part in head(shown.to(device)))
    return [
        soft_nms(
            propose(start[n], end[n], confidence[n], inference.boundary, parity),
            inference.sigma,
            inference.top,
            parity,
        )
        for n in range(len(features))
    ]
