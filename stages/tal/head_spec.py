"""The localisation head, its loss and its inference, as a spec names them.

Defaults: G-TAD's for ActivityNet, with LoFi's soft-NMS.
"""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from engine.spec.component import Strict


class HeadLoss(Strict):
    """Weights of the three terms, and which cells of the IoU map count in them."""

    node: float = Field(default=1, ge=0, description="Weight of the start and end curves' term.")
    classification: float = Field(default=1, ge=0, description="Weight of telling good cells from others.")
    regression: float = Field(default=10, ge=0, description="Weight of the IoU's squared error.")
    boundary: float = Field(default=0.5, ge=0, lt=1, description="Start and end labels above this are positive.")
    positive: float = Field(
        default=0.9, ge=0, lt=1, description="Cells of an IoU above this are positive in classification."
    )
    high: float = Field(default=0.7, gt=0, lt=1, description="Regression takes every cell of an IoU above this.")
    low: float = Field(
        default=0.3,
        ge=0,
        le=1,
        description="Parts regression's other cells in two bands; of each, as many as there are high ones are drawn.",
    )


class Inference(Strict):
    """From curves and maps to detections."""

    boundary: float = Field(
        default=0.5,
        gt=0,
        le=1,
        description="A snippet is a boundary candidate above this share of its curve's maximum.",
    )
    sigma: float = Field(default=0.84, gt=0, description="Of soft-NMS: scores fall by exp(-IoU^2 / sigma).")
    top: int = Field(default=100, ge=1, description="Proposals of a video that soft-NMS keeps.")
    classes: int = Field(
        default=2, ge=1, description="Classes of a video, the surest ones, that each proposal is reported for."
    )
    class_score: Literal["raw", "share"] = Field(
        default="raw",
        description="share: over the sum of the two highest class scores of the video, as G-TAD's code for HACS.",
    )


class Head(Strict):
    """G-TAD."""

    channels: int = Field(default=256, ge=64, multiple_of=64, description="Of the graph layers; other widths follow.")
    align_bins: int = Field(default=32, ge=1, description="Samples of a proposal's window along time.")
    context_bins: int = Field(
        default=4, ge=1, description="Samples of the same window from the mean of each snippet's neighbours."
    )
    neighbours: int = Field(
        default=3, ge=1, description="Nearest snippets by feature, itself counted, that each is joined to."
    )
    loss: HeadLoss = HeadLoss()
    inference: Inference = Inference()
    parity: bool = Field(
        default=False,
        description="Infer as the public code does: no proposal ends with the video, ends stand one snippet earlier, "
        "and soft-NMS loses its last candidate.",
    )

    def thrown_away(self) -> Head:
        """The same to a training that hands no head on: what only inference looks at has its defaults.

        So another sigma of soft-NMS trains no encoder again.
        """
        return self.model_copy(update={"inference": Inference(), "parity": False})
