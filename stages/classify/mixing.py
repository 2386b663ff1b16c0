"""Mixup and CutMix of batches of clips."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor
from torchvision import tv_tensors
from torchvision.transforms import v2

from stages.classify.spec import Mix


class Mixer:
    """Mixes each batch with itself, moved on by one clip. seed: of the draws, which depend on the step besides."""

    def __init__(self, spec: Mix, classes: int, seed: int) -> None:
        self._cutmix_share, self._seed = spec.cutmix_share, seed
        self._mixup = v2.MixUp(alpha=spec.mixup, num_classes=classes)
        self._cutmix = v2.CutMix(alpha=spec.cutmix, num_classes=classes)

    def __call__(self, step: int, clips: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        """clips: float [N, C, T, H, W]; labels: int64 [N]. Returns mixed clips, and shares of the classes [N, classes].

        The global torch generator is left as it was.
        """
        rng = np.random.default_rng((self._seed, step))
        operation = self._cutmix if rng.random() < self._cutmix_share else self._mixup
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(int(rng.integers(2**62)))
            mixed, shares = operation(tv_tensors.Video(clips), labels)
        return mixed.as_subclass(Tensor), shares
