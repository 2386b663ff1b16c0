"""Which points of a long curve are shown: chosen by index alone, so that a replay sends the same points again."""

from __future__ import annotations

LIMIT = 2_000
"""Points of one curve at most."""

_OCTAVE = 64


def shown_while_running(index: int) -> bool:
    """Whether point ``index`` is sent at once, when nobody knows how long the curve will be.

    All of the first 64, then 64 for each doubling of the length: some 1,000 of 10 million.
    """
    return index < _OCTAVE or index % (1 << ((index // _OCTAVE).bit_length() - 1)) == 0


def shown_count(length: int) -> int:
    """How many of ``length`` points ``shown_while_running`` lets through."""
    count, start, stride = min(length, _OCTAVE), _OCTAVE, 1
    while start < length:
        count += -(-(min(length, 2 * start) - start) // stride)
        start, stride = 2 * start, 2 * stride
    return count


def shown_at_end(index: int, length: int, limit: int = LIMIT) -> bool:
    """Whether point ``index`` of a finished curve of ``length`` points is shown.

    All of them up to ``limit``; beyond, every n-th besides those that were sent before, the first and the last.
    """
    if length <= limit or index in (0, length - 1) or shown_while_running(index):
        return True
    return index % -(-length // (limit - shown_count(length) - 1)) == 0
