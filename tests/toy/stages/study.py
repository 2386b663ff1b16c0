"""A study without videos: the engine's own tests run on it."""

from __future__ import annotations

from engine.spec.component import Name
from engine.spec.discover import one_of
from engine.spec.study import BaseStudy


class Study(BaseStudy):
    data: one_of("data")
    models: dict[Name, one_of("method")] = {}
    evaluate: tuple[one_of("protocol"), ...] = ()
