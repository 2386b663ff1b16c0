"""Optical flow in a spec: how it is computed, how it is stored, and what a network sees of it."""

from __future__ import annotations

from typing import Annotated, Literal, Union

from pydantic import Field

from engine.spec.component import Name, Strict


class Tvl1(Strict):
    """TV-L1 (Zach, Pock, Bischof 2007) as scikit-image's ``optical_flow_tvl1`` solves it; names and defaults are its."""

    kind: Literal["tvl1"] = "tvl1"
    attachment: float = Field(default=15.0, gt=0, description="Weight of the data term: smaller is smoother.")
    tightness: float = Field(default=0.3, gt=0, description="How closely the two halves of the split problem agree.")
    num_warp: int = Field(default=5, ge=1, description="Times the second frame is warped at each pyramid level.")
    num_iter: int = Field(default=10, ge=1, description="Primal-dual iterations after each warp.")
    tol: float = Field(default=1e-4, ge=0, description="A level ends when the mean squared change falls below this.")
    prefilter: bool = Field(default=False, description="3 x 3 median filter of the flow before each warp.")
    downscale: float = Field(default=2.0, gt=1, description="Ratio of neighbouring pyramid levels.")
    nlevel: int = Field(default=10, ge=1, description="At most so many pyramid levels.")
    min_size: int = Field(default=16, ge=4, description="Levels end before a side gets shorter than this.")


class DualTvl1(Strict):
    """TV-L1 as OpenCV's ``DualTVL1OpticalFlow`` solves it, which the papers' extraction scripts used; its defaults."""

    kind: Literal["dual_tvl1"]
    tau: float = Field(default=0.25, gt=0, description="Time step.")
    attachment: float = Field(default=0.15, gt=0, description="lambda: weight of the data term, for grey levels 0 to 255.")
    theta: float = Field(default=0.3, gt=0, description="How closely the two halves of the split problem agree.")
    scales: int = Field(default=5, ge=1)
    warps: int = Field(default=5, ge=1)
    epsilon: float = Field(default=0.01, gt=0, description="Root of the mean squared change at which iterations stop.")
    inner_iterations: int = Field(default=30, ge=1)
    outer_iterations: int = Field(default=10, ge=1, description="Each begins with a median filter.")
    scale_step: float = Field(default=0.8, gt=0, lt=1, description="Ratio of neighbouring pyramid levels.")
    median_filter: Literal[1, 3, 5] = Field(default=5, description="Side of the filter; 1: none.")


class Raft(Strict):
    """RAFT (Teed and Deng 2020), torchvision's networks and weights. Fast on a GPU only; not what the papers used."""

    kind: Literal["raft"]
    model: Literal["small", "large"] = "small"
    weights: Literal["C_T_V1", "C_T_V2", "C_T_SKHT_V1", "C_T_SKHT_V2", "C_T_SKHT_K_V1", "C_T_SKHT_K_V2"] = Field(
        default="C_T_V2", description="`small` has C_T_V1 and C_T_V2 only."
    )
    updates: int = Field(default=12, ge=1, description="Times the flow is refined.")


class Dis(Strict):
    """Dense inverse search (Kroeger et al. 2016) of OpenCV, which must be installed. Very fast; not what the papers used."""

    kind: Literal["dis"]
    preset: Literal["ultrafast", "fast", "medium"] = "medium"


class Precomputed(Strict):
    """Flow that was extracted before, read from files below a root of its own."""

    kind: Literal["precomputed"]
    root: Name = Field(description="Name of the flow's root folder: `datasets` in local.yaml, or VIDSPEC_ROOT_<NAME>.")
    layout: Literal["planes", "three_channel", "flo", "npy"] = Field(
        description="planes: a folder for each video with pictures of u and of v, as denseflow and most scripts write; three_channel: one "
        "picture a flow, stored in OpenCV's order (u, v, 128), as CoCLR's packages; flo: Middlebury files; npy: one array [T, 2, H, W] or "
        "[T, H, W, 2] a video, or one a flow, in pixels."
    )


FlowAlgorithm = Annotated[Union[Tvl1, DualTvl1, Raft, Dis, Precomputed], Field(discriminator="kind")]


class FlowStorage(Strict):
    """Both components as grey planes of 8 bits."""

    kind: Literal["raw", "jpeg"] = Field(default="raw", description="raw: as they are; jpeg: each plane a JPEG.")
    quality: int = Field(default=95, ge=1, le=100, description="JPEG quality.")


class Flow(Strict):
    """Optical flow from each frame to the next, cut at ``bound`` pixels.

    By default a network sees u and v in pixels (two channels); a mirrored clip has its u negated, and colours are left
    alone. ``faithful`` is what CoCLR's code does instead: a picture of three channels (128, v, u) that is normalised, recoloured and
    mirrored as if it were RGB.
    """

    kind: Literal["flow"]
    algorithm: FlowAlgorithm = Tvl1()
    bound: float = Field(default=20.0, gt=0, description="Pixels; longer components are cut to this.")
    storage: FlowStorage = FlowStorage()
    faithful: bool = False

    @property
    def channels(self) -> int:
        return 3 if self.faithful else 2
