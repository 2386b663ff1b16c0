"""The same few clips, drawn again and again: how predictions become better over a training."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from engine.run.context import Context
from stages.maskfeat.batches import masked
from stages.maskfeat.masks import draw_mask
from stages.maskfeat.network import Predictor
from stages.maskfeat.pictures import SHOWN, prediction_picture
from stages.maskfeat.spec import Config
from stages.maskfeat.targets import Targets
from stages.nn.precision import Numbers
from stages.video.sampling import frame_numbers, window_starts
from stages.video.transforms import denormalise, evaluation_clip, normalise
from stages.video.views import ViewReader

DRAWN = 10
"""Epochs that are drawn, at most; the last one always."""


class Gallery:
    """Predictions for some training videos, centre crops, under masks of their own.

    What was predicted is kept in the checkpoints, so that a training that was killed has all of its pictures.
    """

    def __init__(self, reader: ViewReader, rows: np.ndarray, config: Config, context: Context) -> None:
        self.config, self.context = config, context
        chosen = rows[np.linspace(0, len(rows) - 1, min(SHOWN, len(rows))).round().astype(int)]
        self._clips = torch.stack([_middle(reader, int(row), config) for row in chosen])
        cells = config.mask.grid(config.clip.frames, config.clip.size)
        masks = [draw_mask(config.mask, cells, context.rng("gallery", i)) for i in range(len(chosen))]
        self._masks = np.stack(masks)
        self._predictions: dict[int, Tensor] = {}

    def due(self, epoch: int) -> bool:
        """Whether this epoch (from 1) is drawn."""
        every = -(-self.config.schedule.epochs // DRAWN)
        return epoch % every == 0 or epoch == self.config.schedule.epochs

    @torch.no_grad()
    def add(self, epoch: int, network: Predictor, targets: Targets, how: Numbers) -> None:
        """Predict, remember and draw. The network is back in training mode afterwards."""
        batch = masked(self._clips, self._masks, self.config.grid).to(how.device)
        shown = how.lay_out(normalise(batch.clips, self.config.view))
        network.eval()
        with how.autocast():
            found = network(shown, batch.mask, batch.hidden).float()
        network.train()
        everywhere = found.new_zeros(len(self._clips), *self.config.grid, targets.width)
        everywhere.view(-1, targets.width)[batch.hidden] = found
        self._predictions[epoch] = everywhere.cpu()
        self._draw(epoch, targets, how)

    def draw_missing(self, targets: Targets, how: Numbers) -> None:
        """Draw what was predicted before a kill."""
        for epoch in self._predictions:
            if not (self.context.out / "pictures" / f"{_name(epoch)}.png").exists():
                self._draw(epoch, targets, how)

    def _draw(self, epoch: int, targets: Targets, how: Numbers) -> None:
        shown = normalise(self._clips.to(how.device), self.config.view)
        true = targets(shown).cpu().numpy()
        visible = denormalise(shown, self.config.view).cpu().numpy()
        predicted = self._predictions[epoch].numpy()
        picture = prediction_picture(visible, self._masks, predicted, true, self.config.target)
        self.context.picture(_name(epoch), picture)

    def state_dict(self) -> dict[str, Any]:
        return {"predictions": dict(self._predictions)}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self._predictions = dict(state["predictions"])


def _name(epoch: int) -> str:
    return f"predicted_{epoch:04d}"


def _middle(reader: ViewReader, row: int, config: Config) -> Tensor:
    """The clip in the middle of a video: uint8 [3, T, size, size]."""
    frames = int(reader.clips.frames[row])
    first = int(window_starts(frames, config.clip, 1)[0])
    return evaluation_clip(reader.read(row, frame_numbers(first, frames, config.clip)), config.clip.size)
