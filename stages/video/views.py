"""Reading a view of videos by frame numbers, whatever it is made of: pictures with the view's number of channels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from stages.video.flow_bytes import ZERO
from stages.video.spec import View

if TYPE_CHECKING:
    from engine.run.context import Context
    from stages.video.clips import Clips
    from stages.video.flows import Flows


@dataclass(frozen=True)
class ViewReader:
    """One view of the videos in ``clips``. May be sent to loader workers."""

    view: View
    clips: Clips
    flows: Flows | None = None

    def read(self, row: int, numbers: np.ndarray) -> np.ndarray:
        """The view at frames ``numbers`` (int [T]) of a video: uint8 [T, H, W, view.channels].

        rgb and difference: RGB frames (differences are taken of whole clips, in ``normalise``). flow: (u, v) as bytes; faithful:
        (128, v, u), which is how CoCLR's networks see its flow pictures. All views of a frame have the same height and width.
        """
        if self.flows is None:
            return self.clips.read(row, numbers)
        flow = self.flows.read(row, numbers)
        if not self.view.faithful:
            return flow
        return np.concatenate([np.full_like(flow[..., :1], ZERO), flow[..., ::-1]], axis=-1)


def open_view(view: View, clips: Clips, context: Context) -> ViewReader:
    """The view of all videos of a data set. A flow view reads the stage's input ``flow`` (see ``stages.flow.spec.view_inputs``)."""
    if view.kind != "flow":
        return ViewReader(view, clips)
    from stages.video.flows import Flows

    return ViewReader(view, clips, Flows.open(context.input("flow"), clips, context))
