"""BatchNorm that keeps its statistics while the network around it is trained.

Small batches of long videos have poor statistics, and those of pictures at another size differ; end-to-end trainings of
localisation therefore keep what the encoder came with. It also makes a clip's vector independent of its batch.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm


def batch_norms(network: nn.Module) -> list[tuple[str, nn.Module]]:
    """Every BatchNorm (1d, 2d, 3d, synchronised) of the network, by name."""
    return [(name, module) for name, module in network.named_modules() if isinstance(module, _BatchNorm)]


def moving_norms(network: nn.Module) -> list[str]:
    """Names of those that take statistics over the batch: in training mode, or without statistics of their own."""
    return [name for name, norm in batch_norms(network) if norm.training or norm.running_mean is None]


def freeze_norms(network: nn.Module, affine: bool = False) -> None:
    """Put every BatchNorm into eval mode; the rest of the network stays as it is.

    ``network.train()`` undoes it, so it is called after that.
    affine: the learned scale and shift get no gradients either.
    """
    for _, norm in batch_norms(network):
        norm.eval()
        if affine:
            norm.requires_grad_(False)


@contextmanager
def frozen_norms(network: nn.Module) -> Iterator[None]:
    """Every BatchNorm in eval mode inside; afterwards each is as it was."""
    norms = [norm for _, norm in batch_norms(network)]
    before = [norm.training for norm in norms]
    try:
        freeze_norms(network)
        yield
    finally:
        for norm, training in zip(norms, before):
            norm.train(training)
