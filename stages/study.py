"""A whole spec: the engine's part, and the words of video."""

from __future__ import annotations

from pydantic import Field

from engine.spec.component import Name
from engine.spec.discover import one_of
from engine.spec.study import BaseStudy
from stages.nn.spec import Encoder
from stages.video.spec import Clip, Rgb, View


class Study(BaseStudy):
    """A study of video models."""

    data: one_of("data") = Field(description="The data set.")
    datasets: dict[Name, one_of("data")] = Field(
        default={}, description="Other data sets, by name, for evaluations and models that name one in their field `data`."
    )
    clip: Clip = Field(default=Clip(), description="The clips that models are trained and measured on.")
    views: dict[Name, View] = Field(default={"rgb": Rgb()}, description="Modalities of a clip, by name.")
    encoder: Encoder = Field(description="The network, unless a model names its own.")
    models: dict[Name, one_of("method")] = Field(default={}, description="Trained encoders, by name.")
    evaluate: tuple[one_of("protocol"), ...] = Field(default=(), description="Protocols and the models they measure.")
