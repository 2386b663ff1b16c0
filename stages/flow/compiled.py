"""How the kernels of optical flow are compiled: by numba, on first use, and kept beside the source.

A compiled function calls only others of its own file: numba looks at no other file when it decides whether
what it kept is still right.
"""

from __future__ import annotations

import numpy as np
from numba import njit
from numba.core.compiler import Compiler

FAST = {"nsz", "arcp", "contract", "afn", "reassoc"}
"""Freedoms of floating-point arithmetic that are taken; infinity and NaN keep their meaning."""

LANES = 16
"""Rows are processed in multiples of so many pixels: two vectors of eight, so that unrolled loops have no rest."""


class _Apart(Compiler):
    """Arrays that a function gets do not overlap. If that is not said, a loop over a row first compares all their
    addresses, or does without vectors."""

    def define_pipelines(self) -> list:
        self.state.flags.noalias = True
        return super().define_pipelines()


kernel = njit(cache=True, nogil=True, error_model="numpy", fastmath=FAST)
"""A function that Python calls; it lets other threads run."""

row_kernel = njit(
    error_model="numpy",
    fastmath=FAST,
    forceinline=True,
    no_cpython_wrapper=True,
    no_cfunc_wrapper=True,
    pipeline_class=_Apart,
)
"""A loop over a row, for kernels to call. No array that it writes to may overlap with another of its arguments."""


def processed(width: int) -> int:
    """Pixels that the vector loops over a row of ``width`` pixels run over."""
    return -(-width // LANES) * LANES


def padded(width: int) -> int:
    """Length of a stored row of ``width`` pixels: what is processed, and at least one more; a multiple of 64 bytes."""
    return processed(width) + LANES


def aligned_zeros(*shape: int) -> np.ndarray:
    """float32 zeros that begin at a multiple of 64 bytes: vectors of padded rows never straddle two cache lines."""
    size = int(np.prod(shape))
    memory = np.zeros(size + LANES, np.float32)
    start = -memory.ctypes.data // memory.itemsize % LANES
    return memory[start : start + size].reshape(shape)
