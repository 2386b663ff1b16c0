"""Class probabilities of videos: the mean over all clips that a classifier is shown of each."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from stages.features.windows import VideoMeans, WindowBatches
from stages.nn.metrics import target_ranks
from stages.nn.precision import Numbers
from stages.video.loader import Loader, default_workers
from stages.video.spec import View
from stages.video.transforms import normalise

if TYPE_CHECKING:
    from engine.run.context import Context


@torch.no_grad()
def class_probabilities(
    networks: Sequence[nn.Module], pixels: Tensor, view: View, numbers: Numbers
) -> Tensor:
    """Softmax of the logits of some classifiers (in eval mode): float32 [networks, B, classes].

    pixels: clips of the view, uint8 [B, C, T, H, W].
    """
    clips = numbers.lay_out(normalise(pixels.to(numbers.device, non_blocking=True), view))
    with numbers.autocast():
        return torch.stack([network(clips).float().softmax(-1) for network in networks])


def log_probabilities(
    batches: WindowBatches,
    probabilities: Callable[[Tensor], Tensor],
    networks: int,
    classes: int,
    context: Context,
) -> NDArray[np.float64]:
    """Log of the probabilities that some networks give to each video: [networks, videos, classes].

    These are means over the clips of a video.

    probabilities: pixels of a batch [B, ...] -> [networks, B, classes].
    """
    means = VideoMeans(networks, len(batches.rows), classes)
    workers = context.workers(default_workers(context.device))
    with Loader(batches, len(batches), workers, context.device) as loader:
        for batch in context.progress(range(len(batches)), "classify", len(batches)):
            pixels, videos = loader[batch]
            means.add(probabilities(pixels), videos)
    return log_of(means)


def log_of(means: VideoMeans) -> NDArray[np.float64]:
    """Log of mean probabilities, [networks, videos, classes]; finite where these have vanished."""
    return np.log(np.maximum(means.means(), np.finfo(np.float32).tiny))


class ClipAccuracy:
    """How often single clips are classified rightly, by several networks; goes on after a kill (``state_dict``)."""

    def __init__(self, networks: int, depths: Sequence[int]) -> None:
        self.depths = tuple(depths)
        self.hits = torch.zeros(networks, len(self.depths), dtype=torch.int64)
        self.count = 0

    def add(self, probabilities: Tensor, targets: NDArray[np.int64]) -> None:
        """probabilities: [networks, B, classes]; targets: [B], the class of each clip's video."""
        for network, table in enumerate(probabilities.cpu().numpy()):
            ranks = target_ranks(table, targets)
            self.hits[network] += torch.tensor([int((ranks < depth).sum()) for depth in self.depths])
        self.count += len(targets)

    def of(self, network: int) -> dict[str, float]:
        """``clip_top<k>``: share of all clips whose class is among the ``k`` most probable ones."""
        return {
            f"clip_top{k}": hits / self.count for k, hits in zip(self.depths, self.hits[network].tolist())
        }

    def state_dict(self) -> dict[str, Any]:
        return {"hits": self.hits, "count": self.count}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self.hits.copy_(state["hits"])
        self.count = state["count"]
