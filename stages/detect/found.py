"""Proposals of many videos by several heads; they go on after a kill."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch

from stages.tal.proposals import Proposals


class Found:
    """(head, video) -> proposals, both by number."""

    def __init__(self) -> None:
        self._found: dict[tuple[int, int], Proposals] = {}

    def add(self, head: int, video: int, proposals: Proposals) -> None:
        """Take note of all proposals that a head makes of a video."""
        self._found[head, video] = proposals

    def of(self, head: int) -> dict[int, Proposals]:
        """Video -> proposals of one head, by rising number."""
        return {
            video: found
            for (maker, video), found in sorted(self._found.items(), key=lambda item: item[0])
            if maker == head
        }

    def state_dict(self) -> dict[str, Any]:
        keys = torch.tensor(
            [[*key, len(found)] for key, found in self._found.items()], dtype=torch.int64
        ).reshape(-1, 3)
        columns = [np.stack([f.start, f.end, f.score], axis=1) for f in self._found.values()]
        values = np.concatenate([np.zeros((0, 3)), *columns])
        return {"keys": keys, "values": torch.from_numpy(values)}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        keys, values = state["keys"].numpy(), state["values"].numpy()
        ends = np.cumsum(keys[:, 2])
        self._found = {
            (int(head), int(video)): Proposals(*values[end - count : end].T.copy())
            for (head, video, count), end in zip(keys, ends, strict=True)
        }
