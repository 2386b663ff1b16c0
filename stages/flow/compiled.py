"""How the kernels of optical flow are compiled: by numba, on first use, and kept beside the source for the next process.

A compiled function calls only others of its own file: numba looks at no other when it decides whether what it kept is still right.
"""

from __future__ import annotations

import numpy as np
from numba import njit
from numba.core.compiler import Compiler

FAST = {"nsz", "arcp", "contract", "afn", "reassoc"}
"""Freedoms of floating-point arithmetic that are taken; infinity and NaN keep their meaning."""

LANES = 16
"""Rows are processed in multiples of this many pixels, so that no vector loop, two vectors unrolled, has a rest."""


class _Apart(Compiler):
    """Array arguments do not overlap: without that, each call compares all their addresses before its loop may use vectors."""

    def define_pipelines(self) -> list:
        self.state.flags.noalias = True
        return super().define_pipelines()


kernel = njit(cache=True, nogil=True, error_model="numpy", fastmath=FAST)
"""A function that Python calls; it lets other threads run."""

row_kernel = njit(
    error_model="numpy", fastmath=FAST, forceinline=True, no_cpython_wrapper=True, no_cfunc_wrapper=True, pipeline_class=_Apart
)
"""A loop over a row, for calls by kernels only. No array that it writes to may overlap with another of its arguments."""


def padded(width: int) -> int:
    """Length of a stored row of ``width`` pixels: what is processed, and at least one more; a multiple of 64 bytes."""
    return processed(width) + LANES


def processed(width: int) -> int:
    """Pixels of a row that the vector loops run over."""
    return -(-width // LANES) * LANES


def aligned_zeros(*shape: int) -> np.ndarray:
    """float32 zeros that begin at a multiple of 64 bytes: vectors of aligned rows then never straddle two cache lines."""
    size = int(np.prod(shape))
    memory = np.zeros(size + LANES, np.float32)
    start = -memory.ctypes.data // memory.itemsize % LANES
    return memory[start : start + size].reshape(shape)
