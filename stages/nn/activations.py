"""What a training step holds in memory: measured while it runs, or found from shapes alone by running it without data.

Both count bytes of distinct storages, so that a view or an operation in place costs nothing. What a kernel needs while
it runs (workspaces of cuDNN, rounding of a GPU's allocator) is not seen.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves


def shapes_only() -> AbstractContextManager:
    """Inside, new tensors have shapes and no data: a network of any size runs, forward and backward, in no memory."""
    from torch._subclasses.fake_tensor import FakeTensorMode

    return FakeTensorMode(allow_non_fake_inputs=True)


def kept_bytes(forward: Callable[[], object], own: Iterable[Tensor] = ()) -> int:
    """Bytes that ``forward`` leaves behind for a backward pass.

    own: tensors that are there anyway (weights, the input), which do not count.
    """
    there = {tensor.untyped_storage()._cdata for tensor in own}
    kept: dict[int, torch.UntypedStorage] = {}  # holds them, so that no other storage gets the same number

    def keep(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        kept[storage._cdata] = storage
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        forward()
    return sum(storage.nbytes() for number, storage in kept.items() if number not in there)


class Allocations(TorchDispatchMode):
    """Follows the storages that are made inside: ``live`` bytes now, and the greatest number so far, ``peak``."""

    def __init__(self) -> None:
        super().__init__()
        self.live = 0
        self.peak = 0
        self._sizes: dict[int, int] = {}

    def __torch_dispatch__(
        self, func: Any, types: Sequence[type], args: tuple = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        for given in tree_leaves((args, kwargs)):
            if isinstance(given, Tensor):
                self._follow(given, counts=False)
        made = func(*args, **kwargs)
        for tensor in tree_leaves(made):
            if isinstance(tensor, Tensor):
                self._follow(tensor, counts=True)
        return made

    def _follow(self, tensor: Tensor, counts: bool) -> None:
        storage = tensor.untyped_storage()
        if storage._cdata in self._sizes:
            return
        self._sizes[storage._cdata] = size = storage.nbytes() if counts else 0
        self.live += size
        self.peak = max(self.peak, self.live)
        weakref.finalize(storage, self._forget, storage._cdata)

    def _forget(self, number: int) -> None:
        self.live -= self._sizes.pop(number)


def peak_bytes(step: Callable[[], object]) -> int:
    """The most bytes that tensors made by ``step`` take at one time, beyond what was there before; for CPU tensors.

    The step may be a whole one with its backward pass, on data or inside ``shapes_only``.
    """
    with Allocations() as allocations:
        step()
    return allocations.peak
